'use strict';

// Registered before anything is loaded: as PID 1 there is no default action that would end the process.
const stopped = new Promise((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => resolve(signal));
});

const http = require('node:http');
const { createApp } = require('./app');
const { readConfig } = require('./config');
const { Drain } = require('./drain');
const { drawHealth } = require('./health');
const hooks = require('./hooks');
const log = require('./log');
const { createStore } = require('./store');

// Longer than any usual client keeps an idle connection (Go 90 s, load balancers 60 s): the side that closes first
// should be the client, for a server that closes can meet a request that is already on its way.
const KEEP_ALIVE_MS = 125_000;
// For the last spans and measurements; a collector that is gone must not keep the pod.
const SETTLE_MS = 2000;

function main() {
  const config = readConfig(process.env);
  const health = drawHealth(config);
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
  const drain = new Drain(server);
  server.on('request', createApp({ health, store: createStore(config), delayRatio: config.delayRatio }));
  server.on('error', fail);
  server.listen(config.port, () => {
    log.info(`hello listens on ${server.address().port}, ${health.healthy ? 'healthy' : 'unhealthy'} (${health.why})`);
  });

  stopped.then(async (signal) => {
    log.info(`${signal}: draining ${drain.connections} connections`);
    const result = await drain.run();
    log.info(`drained in ${Math.round(result.ms)} ms, ${result.cut} connections cut`);
    await hooks.settle(SETTLE_MS);
    process.exit(0);
  });
}

function fail(error) {
  log.error(`hello cannot start: ${error.message}`);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error);
}
