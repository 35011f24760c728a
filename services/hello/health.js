'use strict';

const fs = require('node:fs');
const path = require('node:path');

/**
 * Decides once, for the life of this process, whether it is healthy: a bad pod stays bad until its liveness probe
 * restarts it. The first `unhealthyStarts` starts of a pod's container are bad for certain, the others by chance.
 *
 * @returns {{healthy: boolean, why: string}}
 */
function drawHealth({ unhealthyRatio, unhealthyStarts, stateDir }, random = Math.random) {
  if (unhealthyStarts > 0) {
    const start = countStart(stateDir);
    const why = `start ${start}, the first ${unhealthyStarts} are unhealthy`;
    if (start <= unhealthyStarts) return { healthy: false, why };
  }
  return { healthy: random() >= unhealthyRatio, why: `drawn with an unhealthy ratio of ${unhealthyRatio}` };
}

/** Adds this start to the count in the folder, and returns the count. */
function countStart(stateDir) {
  const file = path.join(stateDir, 'starts');
  let before = 0;
  try {
    before = Number.parseInt(fs.readFileSync(file, 'utf8'), 10) || 0;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  // Renamed into place, so that a start that is killed midway leaves the old count and never half a number.
  const draft = `${file}.new`;
  fs.writeFileSync(draft, `${before + 1}\n`);
  fs.renameSync(draft, file);
  return before + 1;
}

module.exports = { drawHealth };
