'use strict';

// After this long without any connection, nobody sends requests here any more.
const QUIET_MS = 2000;
// An idle connection is left to its client until then. With the preStop sleep, well inside the pod's grace period.
const PATIENCE_MS = 20_000;
// From the half-close of what is still open to the cut; longer than the slowest answer.
const CUT_MS = 5000;
const TICK_MS = 100;

/**
 * Ends a server without failing a request.
 *
 * The pod has left its Service when this begins (the preStop hook waits for that), but kube-proxy keeps established
 * connections where they are. So the server goes on accepting and answering, and tells each client to leave with
 * `Connection: close` on its next answer: then no request can be under way when the connection ends. Closing idle
 * connections instead would reset requests that are on the wire at that moment, so only what stays unused for PATIENCE_MS
 * is closed: by half, so that even a request crossing it sees an end of stream, not a reset.
 */
class Drain {
  #server;
  #limits;
  #open = new Map();
  #answers = new Set();
  #draining = false;
  #lastSeen = 0;

  /** To be made before other listeners for requests: it must see an answer before its headers are sent. */
  constructor(server, limits = {}) {
    this.#server = server;
    this.#limits = { quietMs: QUIET_MS, patienceMs: PATIENCE_MS, cutMs: CUT_MS, tickMs: TICK_MS, ...limits };
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('request', (request, response) => this.#onRequest(request, response));
  }

  get connections() {
    return this.#open.size;
  }

  /** Resolves when no client is left and the port is closed. `cut`: connections that had to be destroyed. */
  async run() {
    const start = performance.now();
    const { quietMs, patienceMs, cutMs, tickMs } = this.#limits;
    this.#draining = true;
    this.#lastSeen = start;
    for (const response of this.#answers) sayClose(response);

    const until = async (deadline, done) => {
      while (!done() && performance.now() < deadline) await afterPoll(tickMs);
    };
    const isQuiet = () => this.#open.size === 0 && performance.now() - this.#lastSeen >= quietMs;
    await until(start + patienceMs, isQuiet);
    for (const [socket, use] of this.#open) if (isIdle(socket, use)) socket.end();
    await until(start + patienceMs + cutMs, () => this.#open.size === 0);

    const cut = this.#open.size;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#open.keys()) socket.destroy();
    await closed;
    return { ms: performance.now() - start, cut };
  }

  #onConnection(socket) {
    this.#open.set(socket, { answering: 0, bytesBefore: 0 });
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#lastSeen = performance.now();
    });
  }

  #onRequest(request, response) {
    const use = this.#open.get(request.socket);
    this.#answers.add(response);
    if (use) use.answering += 1;
    if (this.#draining) sayClose(response);
    response.once('close', () => {
      this.#answers.delete(response);
      if (!use) return;
      use.answering -= 1;
      use.bytesBefore = request.socket.bytesRead;
    });
  }
}

function sayClose(response) {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

/** Nothing is being answered, and no part of a next request was read. */
function isIdle(socket, use) {
  return use.answering === 0 && socket.bytesRead === use.bytesBefore;
}

/**
 * Waits, then until the event loop has read all that had arrived: timers run before it polls, so a process that was
 * throttled would otherwise judge its connections by what it knew before.
 */
function afterPoll(ms) {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(resolve), ms);
  });
}

module.exports = { Drain };
