// Plays one stream in this page and says how it went. play.mjs loads the
// player's own script first, and calls play.

// ahead is how many seconds a player may have in its buffer. The players' own
// choice is half a minute, which takes a short stream at once: a fault that
// comes later would not be seen.
const ahead = 6;

// every and still, in milliseconds: how often the picture's time is looked at,
// and for how long it may stand before that is a stall.
const every = 100;
const still = 250;

// close, in seconds: how near to the end the picture has to be for the stream to
// be over. On a busy machine dash.js may show the last picture and not tell.
const close = 0.25;

// patience, in milliseconds: how long a stream may take until its picture moves.
const patience = 30_000;

const players = {
  hls(video, view, said) {
    const hls = new Hls({ maxBufferLength: ahead, maxMaxBufferLength: ahead, cmcd: cmcdOfHls(view) });
    hls.on(Hls.Events.ERROR, (_, e) => said(e.fatal, `${e.details} ${e.response?.code ?? ''} ${e.error?.message ?? ''}`));
    hls.attachMedia(video);
    hls.loadSource(view.url);
    video.play().catch(() => {}); // if it cannot, the errors say why
    let switches = -1; // the first is the choice of a level
    hls.on(Hls.Events.LEVEL_SWITCHED, () => switches++);
    return {
      levels: () => hls.levels.map((l) => l.bitrate),
      switches: () => Math.max(switches, 0),
      live: () => hls.latestLevelDetails?.live ?? true,
      end: () => hls.destroy(),
    };
  },

  dash(video, view, said) {
    const dash = dashjs.MediaPlayer().create();
    dash.updateSettings({
      debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE },
      streaming: {
        buffer: { bufferTimeDefault: ahead, bufferTimeAtTopQuality: ahead, bufferTimeAtTopQualityLongForm: ahead },
        // As far behind as hls.js: three segments.
        delay: { liveDelay: ahead, useSuggestedPresentationDelay: false },
        // It would ask a server of the internet for the time.
        utcSynchronization: { enabled: false },
        cmcd: cmcdOfDash(view),
      },
    });
    // What dash.js reports here it has tried again before.
    dash.on(dashjs.MediaPlayer.events.ERROR, (e) => said(true, `${e.error?.code ?? e.error} ${e.error?.message ?? ''}`));
    let switches = -1;
    dash.on(dashjs.MediaPlayer.events.QUALITY_CHANGE_RENDERED, (e) => { if (e.mediaType === 'video') switches++; });
    dash.initialize(video, view.url, true); // it plays by itself, and wants to have begun that itself
    return {
      levels: () => dash.getRepresentationsByType('video').map((r) => Math.round(r.bitrateInKbit * 1000)),
      switches: () => Math.max(switches, 0),
      live: () => !dash.isReady() || dash.isDynamic(),
      end: () => dash.destroy(),
    };
  },
};

function cmcdOfHls({ cmcd, cmcdVersion }) {
  if (!cmcd) return undefined;
  return { sessionId: crypto.randomUUID(), contentId: 'test', useHeaders: cmcd === 'headers', version: cmcdVersion };
}

function cmcdOfDash({ cmcd, cmcdVersion }) {
  return {
    enabled: Boolean(cmcd),
    applyParametersFromMpd: false,
    sid: crypto.randomUUID(),
    cid: 'test',
    mode: cmcd || 'query',
    version: cmcdVersion,
  };
}

// watch looks at the picture's time until the stream has ended or has been
// playing for so many seconds.
function watch(video, seconds, live) {
  const seen = {
    started: false, startSeconds: 0, seconds: 0, played: 0, ended: false,
    stalls: 0, stalledSeconds: 0, jumps: 0, waiting: 0,
  };
  return new Promise((resolve) => {
    const opened = performance.now();
    let begun = 0; // when the picture began to move
    let at = 0; // the picture's time when it was seen to move last
    let moved = 0; // when that was
    let standing = false;
    let playing = false;
    video.addEventListener('playing', () => { if (!playing) { playing = true; at = video.currentTime; } });
    video.addEventListener('waiting', () => { if (seen.started) seen.waiting++; });

    const over = () => video.ended || (!live() && video.duration - video.currentTime < close);
    const timer = setInterval(() => {
      const now = performance.now();
      const time = video.currentTime;
      if (!seen.started) {
        if (playing && time > at) {
          seen.started = true;
          seen.startSeconds = (now - opened) / 1000;
          begun = moved = now;
          at = time;
        } else if (now - opened > patience) finish();
        return;
      }
      if (time !== at) advance(now, time);
      else if (!standing && !over() && now - moved > still) {
        standing = true;
        seen.stalls++;
      }
      if (over() || now - begun >= seconds * 1000) finish();
    }, every);

    // advance: a step that real time does not explain is a jump, over a hole
    // or back, and is not counted as played.
    function advance(now, time) {
      const real = (now - moved) / 1000;
      if (standing) seen.stalledSeconds += real;
      if (time < at || time - at > real * video.playbackRate + 0.5) seen.jumps++;
      else seen.played += time - at;
      standing = false;
      at = time;
      moved = now;
    }

    function finish() {
      clearInterval(timer);
      if (seen.started) seen.seconds = (performance.now() - begun) / 1000;
      if (standing) seen.stalledSeconds += (performance.now() - moved) / 1000;
      seen.ended = over();
      const quality = video.getVideoPlaybackQuality();
      seen.frames = quality.totalVideoFrames;
      seen.dropped = quality.droppedVideoFrames;
      resolve(seen);
    }
  });
}

async function play(view) {
  const video = document.querySelector('video');
  const errors = [];
  let fatal = 0;
  const player = players[view.player](video, view, (isFatal, what) => {
    if (isFatal) fatal++;
    if (errors.length < 20) errors.push((isFatal ? 'fatal: ' : '') + what.trim());
  });
  const seen = await watch(video, view.seconds, player.live);
  const result = { ...seen, fatal, errors, levels: player.levels(), switches: player.switches() };
  player.end();
  return result;
}
