// What view.mjs has pages run. Each function is sent as text, and knows nothing
// outside itself.

// record keeps what a page shows: the badge, each time it changes, the lines of the
// chat, each time one is shown that is more than a message on its way, and how
// often the chat was connected.
export function record() {
  const seen = (window.seen = { badges: [], chat: [], connections: 0 });
  addEventListener('DOMContentLoaded', () => {
    const badge = document.getElementById('answers');
    new MutationObserver(() => {
      const text = badge.textContent;
      if (text !== seen.badges.at(-1)) seen.badges.push(text);
    }).observe(badge, { childList: true, characterData: true, subtree: true });
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) {
        for (const line of addedNodes) {
          if (line.dataset?.id && !line.classList.contains('waiting')) seen.chat.push(line.textContent);
        }
      }
    }).observe(document.getElementById('chat'), { childList: true });
    const connection = document.getElementById('connection');
    new MutationObserver(() => {
      if (connection.textContent === 'connected') seen.connections++;
    }).observe(connection, { childList: true });
  });
}

// watch looks at the picture's time, from now on: see seen in viewers_test.go.
export function watch() {
  const every = 100; // ms
  const still = 250; // ms for which it may stand
  const long = 1000; // ms after which that is a stall, though there is more to show
  const video = document.getElementById('video');
  const fresh = () => ({ seconds: 0, played: 0, stalls: 0, stalledSeconds: 0, hitches: 0, jumps: 0, waiting: 0 });
  let now = (window.picture = fresh());
  let began = performance.now();
  let moved = began;
  let at = video.currentTime;
  let hitch = false;
  let stall = false;
  // How many seconds there are to show.
  const ahead = () => {
    for (let i = 0; i < video.buffered.length; i++) {
      if (video.buffered.start(i) <= at && at <= video.buffered.end(i)) return video.buffered.end(i) - at;
    }
    return 0;
  };
  video.addEventListener('waiting', () => now.waiting++);
  window.count = () => {
    const one = { ...now, seconds: (performance.now() - began) / 1000 };
    now = window.picture = fresh();
    began = performance.now();
    return one;
  };
  setInterval(() => {
    const time = performance.now();
    const real = (time - moved) / 1000;
    const picture = video.currentTime;
    if (picture === at) {
      const stood = time - moved;
      if (stood > still && !hitch) {
        hitch = true;
        now.hitches++;
      }
      if (!stall && (stood > long || (stood > still && ahead() < every / 1000))) {
        stall = true;
        now.stalls++;
      }
      return;
    }
    if (stall) now.stalledSeconds += real;
    // A step that real time does not explain is over a hole, or back.
    if (picture < at || picture - at > real + 0.5) now.jumps++;
    else now.played += picture - at;
    hitch = stall = false;
    at = picture;
    moved = time;
  }, every);
}

// count is what watch has seen since the last count; nothing, if nothing plays.
export function count() {
  return window.count?.();
}

// speak says something each so many milliseconds, by the page's own form, until
// window.hush is called.
export function speak(every) {
  const lines = [
    'is anybody here?', 'what a picture', 'did you see that?', 'I saw no hiccup', 'who is on air now?', 'hello from the back row',
    'the bars are the best part', 'green suits you', 'is that a clock?', 'best seats in the house', 'once more, please',
  ];
  const said = [];
  const timer = setInterval(() => {
    said.push(`${lines[said.length % lines.length]} (${said.length + 1})`);
    document.getElementById('text').value = said.at(-1);
    document.getElementById('say').requestSubmit();
  }, every);
  window.hush = () => {
    clearInterval(timer);
    return said;
  };
}
