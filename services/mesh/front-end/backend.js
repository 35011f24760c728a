'use strict';

const http = require('node:http');

// More than any answer of the back end has.
const LONGEST_ANSWER = 64 * 1024;

/** Why the back end gave no answer that can be used. */
class BackEndError extends Error {
  name = 'BackEndError';
}

/**
 * Asks the back end, and resolves with its answer's text, or rejects with a BackEndError within the time.
 *
 * Each request has a connection of its own: none waits on a connection that a pod which ends is just closing, and
 * requests go to all pods alike.
 */
function createBackEnd({ backEnd, timeoutMs }) {
  const agent = new http.Agent({ keepAlive: false });

  return async function ask(path) {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await get(new URL(path, backEnd), agent, signal);
    } catch (error) {
      if (error instanceof BackEndError) throw error;
      const reason = signal.aborted ? `gave no answer within ${timeoutMs} ms` : `cannot be reached: ${error.code ?? error.message}`;
      throw new BackEndError(`${backEnd.origin} ${reason}`, { cause: error });
    }
  };
}

function get(url, agent, signal) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, signal }, (response) => {
      const parts = [];
      let length = 0;
      response.on('error', reject);
      response.on('data', (part) => {
        parts.push(part);
        length += part.length;
        if (length > LONGEST_ANSWER) request.destroy(new BackEndError(`${url.origin} answered more than ${LONGEST_ANSWER} bytes`));
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(parts).toString('utf8'));
        else reject(new BackEndError(`${url.origin} answered ${response.statusCode}`));
      });
    });
    request.on('error', reject);
  });
}

module.exports = { BackEndError, createBackEnd };
