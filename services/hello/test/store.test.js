'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { createStore } = require('../store');

/** An HTTP server in DynamoDB's place; its address and the environment that leads the SDK to it. */
async function dynamo(t, answer) {
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => answer(request.headers['x-amz-target'], JSON.parse(body), response));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  environment(t, {
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${server.address().port}`,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
}

/** Nothing of the user's AWS settings, and the given variables, until the test ends. */
function environment(t, variables) {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_') && name !== 'AWS_CA_BUNDLE') delete process.env[name];
  Object.assign(process.env, { AWS_CONFIG_FILE: '/nonexistent', AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' }, variables);
  t.after(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });
}

function reply(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body));
}

const settings = { table: 'practice', region: 'us-east-1' };

test('writes an item and reads it back, in the table named', async (t) => {
  const items = new Map();
  await dynamo(t, (target, body, response) => {
    assert.equal(body.TableName, 'practice');
    if (target === 'DynamoDB_20120810.PutItem') {
      items.set(body.Item.id.S, body.Item);
      return reply(response, 200, {});
    }
    assert.equal(target, 'DynamoDB_20120810.GetItem');
    const Item = items.get(body.Key.id.S);
    return reply(response, 200, Item ? { Item } : {});
  });
  const store = createStore(settings);
  await store.write('1', { text: 'x', list: [1, true, null] });
  assert.deepEqual(await store.read('1'), { id: '1', data: { text: 'x', list: [1, true, null] } });
  assert.equal(await store.read('2'), undefined);
});

test('a table that does not exist is an error after one attempt', async (t) => {
  let requests = 0;
  await dynamo(t, (_target, _body, response) => {
    requests += 1;
    reply(response, 400, { __type: 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException', message: 'no table' });
  });
  await assert.rejects(createStore(settings).read('1'), { name: 'ResourceNotFoundException' });
  assert.equal(requests, 1);
});

test('without credentials it fails at once', { timeout: 4000 }, async (t) => {
  environment(t, {});
  await assert.rejects(createStore(settings).write('1', 'x'), { name: 'CredentialsProviderError' });
});

test('a table that never answers is tried twice, then an error', { timeout: 10_000 }, async (t) => {
  let requests = 0;
  await dynamo(t, () => (requests += 1));
  const store = createStore(settings, { deadlineMs: 5000, connectMs: 1000, answerMs: 100 });
  await assert.rejects(store.read('1'), { name: 'TimeoutError' });
  assert.equal(requests, 2);
});

test('the deadline holds whatever the attempts do', { timeout: 10_000 }, async (t) => {
  await dynamo(t, () => {});
  const store = createStore(settings, { deadlineMs: 100, connectMs: 5000, answerMs: 5000 });
  await assert.rejects(store.write('1', 'x'), { name: 'AbortError' });
});
