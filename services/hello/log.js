'use strict';

const hooks = require('./hooks');

/** A line of JSON; within a traced request with the ids that lead from the log to the trace. */
function line(level, message, more) {
  return JSON.stringify({ time: new Date().toISOString(), level, message, ...hooks.currentSpan(), ...more });
}

module.exports = {
  info: (message, more) => console.log(line('info', message, more)),
  error: (message, more) => console.error(line('error', message, more)),
};
