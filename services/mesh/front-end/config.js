'use strict';

/**
 * Reads the settings from the environment; a value that makes no sense is an error that names its variable.
 *
 * @returns {{host: string, port: number, metricsPort: number, backEnd: URL, timeoutMs: number}}
 */
function readConfig(env) {
  return {
    host: env.HOST || '0.0.0.0',
    port: integer(env, 'PORT', 8080, 0, 65535),
    metricsPort: integer(env, 'METRICS_PORT', 9464, 0, 65535),
    backEnd: address(env, 'BL_HOST', 'http://business-logic:8000'),
    timeoutMs: integer(env, 'BL_TIMEOUT_MS', 10_000, 1, 10_000),
  };
}

function integer(env, name, fallback, least, most) {
  const text = (env[name] ?? '').trim();
  if (text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`${name} must be an integer from ${least} to ${most}, not ${JSON.stringify(env[name])}`);
  }
  return value;
}

function address(env, name, fallback) {
  const text = (env[name] ?? '').trim() || fallback;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' || url.pathname !== '/') {
    throw new Error(`${name} must be an address such as ${fallback}, not ${JSON.stringify(text)}`);
  }
  return url;
}

module.exports = { readConfig };
