'use strict';

// What telemetry adds to the program when it is loaded; nothing without it.

/** The ids that a log line gets: of the span that is current, as W3C writes them. */
let idsOfSpan = () => undefined;
const beforeExit = [];

module.exports = {
  /** @param {() => {trace_id: string, span_id: string} | undefined} ids */
  nameSpans(ids) {
    idsOfSpan = ids;
  },

  currentSpan: () => idsOfSpan(),

  /** @param {() => Promise<unknown>} work done before the process ends, as long as there is time */
  beforeExit(work) {
    beforeExit.push(work);
  },

  /** Resolves when all is done, has failed or the time is over. */
  async settle(ms) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
    await Promise.race([Promise.allSettled(beforeExit.map((work) => work())), late]);
    clearTimeout(timer);
  },
};
