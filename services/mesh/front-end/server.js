'use strict';

// Registered before anything is loaded: as PID 1 there is no default action that would end the process.
const stopped = new Promise((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => resolve(signal));
});

const telemetry = require('./telemetry');
const http = require('node:http');
const { createApp } = require('./app');
const { createBackEnd } = require('./backend');
const { readConfig } = require('./config');
const { Drain } = require('./drain');
const log = require('./log');
const { Metrics } = require('./metrics');

// Longer than any usual client keeps an idle connection (Go 90 s, load balancers 60 s): the side that closes first
// should be the client, for a server that closes can meet a request that is already on its way.
const KEEP_ALIVE_MS = 125_000;
// For the last spans; a collector that is gone must not keep the pod.
const SETTLE_MS = 2000;
// What is still under way after all patience: longer than the back end may take to answer.
const CUT_MS = 11_000;

function main() {
  const config = readConfig(process.env);
  const metrics = new Metrics();
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
  const drain = new Drain(server, { cutMs: CUT_MS });
  server.on('request', createApp({ ask: createBackEnd(config), observe: (answer) => metrics.observe(answer) }));
  server.on('error', fail);
  server.listen(config.port, config.host, () => {
    log.info(`front-end listens on ${server.address().port}, the back end is ${config.backEnd.origin}`);
  });
  const figures = metrics.server();
  figures.on('error', fail);
  figures.listen(config.metricsPort, config.host, () => log.info(`metrics are at port ${figures.address().port}`));

  stopped.then(async (signal) => {
    log.info(`${signal}: draining ${drain.connections} connections`);
    const result = await drain.run();
    log.info(`drained in ${Math.round(result.ms)} ms, ${result.cut} connections cut`);
    await settle(telemetry.shutdown());
    process.exit(0);
  });
}

/** Waits until the work is done, has failed or the time is over. */
async function settle(work) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, SETTLE_MS)));
  await Promise.race([Promise.allSettled([work]), late]);
  clearTimeout(timer);
}

function fail(error) {
  log.error(`front-end cannot start: ${error.message}`);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error);
}
