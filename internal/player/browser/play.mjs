// Plays streams in one Chromium, all at the same time.
//
//	node play.mjs <path of chromium> <views.json
//
// Views are a list of {url, player: "hls" or "dash", seconds, cmcd: "",
// "query" or "headers", cmcdVersion: 1 or 2}. For each it prints a line of JSON,
// in their order: see Result in ../play.go.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { json } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

// Nothing but loopback is ever asked: all other names are unknown.
const args = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];

const files = {
  '/': ['page.html', 'text/html'],
  '/page.js': ['page.js', 'text/javascript'],
  '/hls.js': ['node_modules/hls.js/dist/hls.min.js', 'text/javascript'],
  '/dash.js': ['node_modules/dashjs/dist/modern/umd/dash.all.min.js', 'text/javascript'],
};

// The page comes from loopback as the streams do, or Chromium would ask whether
// it may reach the local network. It is another origin than theirs.
const pages = createServer(async (request, response) => {
  const file = files[request.url];
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': file[1] });
  response.end(await readFile(new URL(file[0], import.meta.url)));
});
await new Promise((done) => pages.listen(0, '127.0.0.1', done));
const home = `http://127.0.0.1:${pages.address().port}`;

async function show(context, view) {
  const page = await context.newPage();
  let requests = 0;
  const failed = [];
  const fail = (request, why) => {
    if (!request.url().startsWith(home) && failed.length < 20) failed.push(`${why} ${new URL(request.url()).pathname}`);
  };
  page.on('response', (r) => {
    if (!r.url().startsWith(home)) requests++;
    if (r.status() >= 400) fail(r.request(), r.status());
  });
  page.on('requestfailed', (r) => {
    const why = r.failure()?.errorText;
    if (why !== 'net::ERR_ABORTED') fail(r, why); // the player itself changed its mind
  });
  await page.goto(home);
  await page.addScriptTag({ url: `/${view.player}.js` });
  const result = await page.evaluate((v) => play(v), view);
  return { ...result, requests, failed };
}

const views = await json(process.stdin);
const browser = await chromium.launch({ executablePath: process.argv[2], args });
try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  for (const result of await Promise.all(views.map((view) => show(context, view)))) console.log(JSON.stringify(result));
} finally {
  await browser.close();
  pages.close();
}
