'use strict';

// `deadlineMs` is for a whole operation, attempts and waits between them included.
const LIMITS = { deadlineMs: 4000, connectMs: 1000, answerMs: 2000 };

/**
 * Items of the DynamoDB table, by id. Credentials come from the SDK's usual chain, an endpoint other than Amazon's from
 * AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL; where that is set and no credentials are, some are made up, since emulators
 * want a signature and look at no key. Both operations reject within the deadline.
 */
function createStore({ table, region }, limits = LIMITS) {
  let documents;

  // Loaded with the first request: the SDK costs more CPU than the rest of the start together, and a pod limited to a
  // tenth of a core should become ready without it.
  function sdk() {
    documents ??= connect(region, limits);
    return documents;
  }

  return {
    /** The item, or undefined where there is none. */
    async read(id) {
      const { client, lib } = sdk();
      const { Item } = await client.send(new lib.GetCommand({ TableName: table, Key: { id } }), within(limits.deadlineMs));
      return Item;
    },
    async write(id, data) {
      const { client, lib } = sdk();
      await client.send(new lib.PutCommand({ TableName: table, Item: { id, data } }), within(limits.deadlineMs));
    },
  };
}

function connect(region, { connectMs, answerMs }) {
  // Off a cloud machine nothing answers at the metadata address, and the SDK would wait for it.
  process.env.AWS_EC2_METADATA_DISABLED ??= 'true';
  const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
  const lib = require('@aws-sdk/lib-dynamodb');
  const { NodeHttpHandler } = require('@smithy/node-http-handler');
  const { AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_DYNAMODB } = process.env;
  const emulated = (AWS_ENDPOINT_URL_DYNAMODB || AWS_ENDPOINT_URL) && !AWS_ACCESS_KEY_ID;
  const dynamo = new DynamoDBClient({
    region,
    ...(emulated && { credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' } }),
    maxAttempts: 2,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectMs,
      requestTimeout: answerMs,
      throwOnRequestTimeout: true,
    }),
  });
  const client = lib.DynamoDBDocumentClient.from(dynamo, { marshallOptions: { removeUndefinedValues: true } });
  return { client, lib };
}

function within(ms) {
  return { abortSignal: AbortSignal.timeout(ms) };
}

module.exports = { createStore };
