// Viewers of the platform, in one Chromium, who do what they are told.
//
//	node view.mjs <path of chromium> <directory with playwright-core> <url>
//
// An order is a line of JSON, {"do": …}, and is answered by one: what came of it,
// or {"error": …}. See orders below. It ends with its input.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { count, record, speak, watch } from './page.mjs';

const [executablePath, packages, url] = process.argv.slice(2);
const { chromium } = createRequire(`${packages}/`)('playwright-core');

// patience, in milliseconds: how long to wait for what must come about.
const patience = 60_000;

// Nothing but loopback is ever asked: all other names are unknown.
const args = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];
const browser = await chromium.launch({ executablePath, args });

const viewers = {}; // by name: {page, failed}

// meet is a viewer with cookies and connections of their own. All come to a
// window of one size.
async function meet(name) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 700 } });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const failed = [];
  page.on('response', (r) => r.status() >= 400 && failed.push(`${r.status()} ${new URL(r.url()).pathname}`));
  page.on('requestfailed', (r) => {
    const why = r.failure()?.errorText;
    if (why !== 'net::ERR_ABORTED') failed.push(`${why} ${new URL(r.url()).pathname}`); // the page changed its mind
  });
  page.on('pageerror', (problem) => failed.push(problem.message));
  viewers[name] = { page, failed };
  await page.addInitScript(record);
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('connection').textContent === 'connected');
  // Not before the page has a session: else there would be two.
  await page.evaluate(async (name) => {
    const headers = { 'Content-Type': 'application/json' };
    await fetch('api/session', { method: 'PUT', headers, body: JSON.stringify({ name }) });
  }, name);
}

const pages = () => Object.values(viewers).map(({ page }) => page);

let upload; // the one under way: {page, throttle, began}

async function throttled(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  return (uploadThroughput) => session.send('Network.emulateNetworkConditions', {
    offline: false, latency: 0, downloadThroughput: -1, uploadThroughput,
  });
}

const orders = {
  // Viewers come, and are in the chat.
  async meet({ names }) {
    await Promise.all(names.map(meet));
  },

  // A viewer plays a title.
  async play({ name, title }) {
    const { page } = viewers[name];
    await page.locator('#titles button', { hasText: title }).first().click();
    await page.waitForFunction(() => document.getElementById('video').currentTime > 0);
    await page.evaluate(watch);
  },

  // It returns when a viewer has seen so many more seconds.
  async see({ name, seconds }) {
    const { page } = viewers[name];
    const until = (await page.evaluate(() => window.picture.played)) + seconds;
    await page.waitForFunction((until) => window.picture.played >= until, until, { timeout: patience + seconds * 1000 });
  },

  // What each viewer has had to see since the last time, and what failed.
  async count() {
    const all = {};
    for (const [name, { page, failed }] of Object.entries(viewers)) {
      all[name] = { ...(await page.evaluate(count)), failed: failed.splice(0) };
    }
    return all;
  },

  // A viewer uploads a file, at so many bytes per second; it does not wait.
  async upload({ name, file, title, rate }) {
    const { page } = viewers[name];
    const throttle = await throttled(page);
    await throttle(rate);
    await page.setInputFiles('#file', file);
    await page.fill('#title', title);
    await page.click('#upload button');
    upload = { page, throttle, began: performance.now() };
  },

  // How far the upload is, 0 to 1; it then goes as fast as it can, to its end.
  async uploaded() {
    const { page, throttle, began } = upload;
    const before = await page.evaluate(() => document.getElementById('progress').value);
    await throttle(-1);
    await page.waitForFunction(() => document.getElementById('uploaded').textContent);
    const said = await page.textContent('#uploaded');
    return { before, said, seconds: (performance.now() - began) / 1000 };
  },

  // A viewer begins to say something each so many milliseconds.
  async speak({ name, every }) {
    await viewers[name].page.evaluate(speak, every);
  },

  // All stop. What they said, by name and text, and what each viewer was shown.
  async hush({ names }) {
    const said = [];
    const last = [];
    for (const name of names) {
      const texts = await viewers[name].page.evaluate(() => window.hush());
      said.push(...texts.map((text) => `${name}: ${text}`));
      last.push(said.at(-1));
    }
    const shown = {};
    for (const [name, { page }] of Object.entries(viewers)) {
      const all = (last) => last.every((line) => window.seen.chat.includes(line));
      await page.waitForFunction(all, last).catch(() => {}); // who looks at the lists sees what is missing
      shown[name] = await page.evaluate(() => window.seen.chat);
    }
    return { said, shown };
  },

  // It returns when the badges of all say so, and their chats have been connected so
  // often; the answer is what each badge has said since the beginning.
  async badge({ text, connections }) {
    const says = ([text, connections]) => window.seen.badges.at(-1)?.startsWith(text) && window.seen.connections >= connections;
    await Promise.all(pages().map((page) => page.waitForFunction(says, [text, connections])));
    const all = {};
    for (const [name, { page }] of Object.entries(viewers)) all[name] = await page.evaluate(() => window.seen.badges);
    return all;
  },

  async shoot({ name, file }) {
    await viewers[name].page.screenshot({ path: file, type: 'jpeg', quality: 80 });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let answer;
  try {
    answer = (await orders[order.do](order)) ?? {};
  } catch (problem) {
    answer = { error: `${order.do}: ${problem.message}` };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
