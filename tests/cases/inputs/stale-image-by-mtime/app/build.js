// As make does it: what was built is built again only when its source is newer.
const fs = require('fs');
const [source, built] = ['src/page.md', 'build/page.html'];
const time = (file) => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1;
if (time(built) < time(source)) fs.writeFileSync(built, `<h1>${fs.readFileSync(source)}</h1>\n`);
