'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { readConfig } = require('../config');
const { drawHealth } = require('../health');

function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'hello-health-'));
  t.after(() => fs.rmSync(made, { recursive: true }));
  return made;
}

test('the draw follows the ratio', () => {
  const draw = (drawn) => drawHealth({ unhealthyRatio: 0.2, unhealthyStarts: 0 }, () => drawn).healthy;
  assert.equal(draw(0.19), false);
  assert.equal(draw(0.2), true);
});

test('the extremes are certain', () => {
  const draw = (unhealthyRatio, drawn) => drawHealth({ unhealthyRatio, unhealthyStarts: 0 }, () => drawn).healthy;
  assert.equal(draw(0, 0), true);
  assert.equal(draw(1, 0.999999), false);
});

test('the first starts are unhealthy, those after them are not', (t) => {
  const settings = { unhealthyRatio: 0, unhealthyStarts: 2, stateDir: folder(t) };
  const starts = [1, 2, 3, 4].map(() => drawHealth(settings).healthy);
  assert.deepEqual(starts, [false, false, true, true]);
});

test('a folder that cannot be written is an error, not a healthy start', () => {
  assert.throws(() => drawHealth({ unhealthyRatio: 0, unhealthyStarts: 1, stateDir: '/no/such/folder' }), /ENOENT/);
});

test('settings have the defaults of the model', () => {
  const config = readConfig({});
  assert.equal(config.port, 8400);
  assert.equal(config.delayRatio, 0.3);
  assert.equal(config.unhealthyRatio, 0.2);
  assert.equal(config.unhealthyStarts, 0);
  assert.equal(config.table, 'practice');
});

test('an empty setting is the default, and a zero is a zero', () => {
  assert.equal(readConfig({ HELLO_DELAY_RATIO: '' }).delayRatio, 0.3);
  assert.equal(readConfig({ HELLO_DELAY_RATIO: '0' }).delayRatio, 0);
});

test('a setting that makes no sense is named', () => {
  assert.throws(() => readConfig({ HELLO_DELAY_RATIO: '1.5' }), /HELLO_DELAY_RATIO must be a number from 0 to 1, not "1.5"/);
  assert.throws(() => readConfig({ HELLO_UNHEALTHY_RATIO: 'often' }), /HELLO_UNHEALTHY_RATIO/);
  assert.throws(() => readConfig({ HELLO_UNHEALTHY_STARTS: '1.5', HELLO_STATE_DIR: '/state' }), /an integer from 0/);
  assert.throws(() => readConfig({ HELLO_UNHEALTHY_STARTS: '1' }), /HELLO_STATE_DIR/);
});
