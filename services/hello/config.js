'use strict';

/**
 * Reads the settings from the environment; a value that makes no sense is an error that names its variable.
 *
 * @returns {{port: number, delayRatio: number, unhealthyRatio: number, unhealthyStarts: number,
 *   stateDir: string | undefined, table: string, region: string}}
 */
function readConfig(env) {
  const config = {
    port: integer(env, 'PORT', 8400, 65535),
    delayRatio: ratio(env, 'HELLO_DELAY_RATIO', 0.3),
    unhealthyRatio: ratio(env, 'HELLO_UNHEALTHY_RATIO', 0.2),
    unhealthyStarts: integer(env, 'HELLO_UNHEALTHY_STARTS', 0, 1000),
    stateDir: env.HELLO_STATE_DIR || undefined,
    table: env.HELLO_TABLE || 'practice',
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1',
  };
  if (config.unhealthyStarts > 0 && !config.stateDir) {
    throw new Error('HELLO_UNHEALTHY_STARTS needs HELLO_STATE_DIR, a folder that outlives the container');
  }
  return config;
}

function ratio(env, name, fallback) {
  return number(env, name, fallback, (value) => value >= 0 && value <= 1, 'a number from 0 to 1');
}

function integer(env, name, fallback, maximum) {
  const fits = (value) => Number.isInteger(value) && value >= 0 && value <= maximum;
  return number(env, name, fallback, fits, `an integer from 0 to ${maximum}`);
}

function number(env, name, fallback, fits, expected) {
  const text = (env[name] ?? '').trim();
  if (text === '') return fallback;
  const value = Number(text);
  if (!fits(value)) throw new Error(`${name} must be ${expected}, not ${JSON.stringify(env[name])}`);
  return value;
}

module.exports = { readConfig };
