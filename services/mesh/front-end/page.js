'use strict';

/** The page with the two buttons. `prefix`: where this service is, as its client sees it, if that is known. */
function startPage(prefix) {
  const to = (page) => escape(prefix === undefined ? page : `${prefix}/${page}`);
  return document(
    'Front end',
    `<form action="${to('slow-page')}"><button>Slow page</button></form>
<form action="${to('fast-page')}"><button>Fast page</button></form>`,
  );
}

/** What is shown when the back end fails. `traceId` finds what happened, in the logs and in Jaeger. */
function failurePage(traceId) {
  const trace = traceId ? `<p>Trace: <code>${escape(traceId)}</code></p>` : '';
  return document('502 Bad Gateway', `<h1>The back end failed</h1>\n<p>Please try again.</p>\n${trace}`);
}

function document(title, body) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
${body}
</html>
`;
}

function escape(text) {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/**
 * The prefix that a proxy says it has taken off the path, or undefined. Without it links are relative, which leads to
 * the right place wherever the page's own address ends with a slash.
 */
function prefixOf(headers) {
  const claimed = headers['x-forwarded-prefix'];
  if (typeof claimed !== 'string' || !/^(\/[A-Za-z0-9._~-]+)+\/?$/.test(claimed)) return undefined;
  return claimed.replace(/\/$/, '');
}

module.exports = { failurePage, prefixOf, startPage };
