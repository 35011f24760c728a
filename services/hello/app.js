'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const express = require('express');
const log = require('./log');

const DELAY_MS = { least: 500, most: 3000 };

/**
 * The routes.
 *
 * @param {{health: {healthy: boolean}, store: {read: Function, write: Function}, delayRatio: number,
 *   random?: () => number, wait?: (ms: number) => Promise<unknown>}} parts
 */
function createApp({ health, store, delayRatio, random = Math.random, wait = sleep }) {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');

  app.get('/', async (_request, response) => {
    if (random() < delayRatio) {
      await wait(DELAY_MS.least + Math.floor(random() * (DELAY_MS.most - DELAY_MS.least + 1)));
    }
    response.json({ message: 'hello world' });
  });

  app.get('/healthz', (_request, response) => {
    response.status(health.healthy ? 200 : 500).type('text/plain').send(health.healthy ? 'OK' : 'NOT OK');
  });

  app.get('/read/:id', async (request, response) => {
    const item = await attempt(() => store.read(request.params.id), response, 'Could not read from DynamoDB');
    if (response.headersSent) return;
    if (item === undefined) response.status(404).json({ error: 'No item of this id' });
    else response.json(item);
  });

  app.post('/write', express.json(), async (request, response) => {
    const { id, data } = request.body ?? {};
    if (typeof id !== 'string' || id === '' || data === undefined) {
      response.status(400).json({ error: 'The body must be JSON with a text id and data' });
      return;
    }
    await attempt(() => store.write(id, data), response, 'Could not write to DynamoDB');
    if (!response.headersSent) response.json({ message: 'Data written to DynamoDB' });
  });

  app.use((_request, response) => {
    response.status(404).json({ error: 'No such route' });
  });

  // Express knows an error handler by its four parameters.
  app.use((error, _request, response, next) => {
    if (response.headersSent) return next(error);
    const status = error.status >= 400 && error.status < 500 ? error.status : 500;
    if (status === 500) log.error(error.message, { stack: error.stack });
    return response.status(status).json({ error: status === 500 ? 'Internal error' : error.message });
  });

  return app;
}

/** Runs an operation of the store; answers 500 with the text, and logs the cause, when it fails. */
async function attempt(operation, response, text) {
  try {
    return await operation();
  } catch (error) {
    log.error(`${text}: ${error.name}: ${error.message}`);
    response.status(500).json({ error: text });
    return undefined;
  }
}

module.exports = { createApp };
