// The only module that speaks to the server: questions, the stream of changes, and the token for doing things.

const KEY = "agent-studio-token";
const PATIENCE_MS = 60_000;
const SILENCE_MS = 40_000; // the stream shows a sign of life every 15 s

/** A fault the server has described, or that it could not be reached. */
export class Problem extends Error {
  constructor(message, hint = "", status = 0) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** Keep the token that came behind `#`, take it out of the address whatever it is, and say whether there was one. */
export function takeToken() {
  if (!location.hash.startsWith("#token")) return false;
  const found = /^#token=(.+)$/.exec(location.hash);
  history.replaceState(null, "", location.pathname + location.search);
  const token = found && decoded(found[1]).trim();
  if (!token || !/^[\x20-\x7e]+$/.test(token)) return false;
  sessionStorage.setItem(KEY, token);
  return true;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function hasToken() {
  return sessionStorage.getItem(KEY) !== null;
}

export async function ask(name, parameters, signal) {
  const signals = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])];
  return answer(await request(`/api/${name}?${new URLSearchParams(parameters)}`, { signal: AbortSignal.any(signals) }));
}

export async function act(name, wanted) {
  return answer(await request(`/api/alerts/${name}`, {
    method: "POST",
    signal: AbortSignal.timeout(PATIENCE_MS),
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wanted),
  }));
}

/**
 * Call `changed` with every new revision and `state` with `live` or `lost`, until the signal is aborted.
 *
 * A server that is silent for too long is lost, though its connection is not.
 */
export async function follow(environment, changed, state, signal) {
  for (let pause = 1; !signal.aborted; pause = Math.min(pause * 2, 30)) {
    const silence = new AbortController();
    let waiting;
    const heard = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    heard();
    try {
      const response = await request(`/events?${new URLSearchParams({ env: environment })}`, { signal: AbortSignal.any([signal, silence.signal]) });
      if (!response.ok) throw new Problem(`the stream answered ${response.status}`);
      state("live");
      for await (const revision of revisions(response.body, heard)) {
        pause = 1;
        changed(revision);
      }
    } catch {
      if (signal.aborted) return;
    } finally {
      clearTimeout(waiting);
    }
    state("lost");
    await new Promise((resolve) => setTimeout(resolve, pause * 1_000));
  }
}

async function* revisions(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const found = /^data: (.+)$/m.exec(event);
      if (found) yield found[1];
    }
  }
}

async function request(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw silent();
  }
}

function silent() {
  return new Problem("The server does not answer.", "Start it again; this page goes on by itself.");
}

async function answer(response) {
  if (response.status === 401 && response.headers.get("content-type")?.startsWith("text/plain")) {
    throw new Problem("This address is answered only with its token.", "Open it with the token once: /dashboard#token=TOKEN", 401);
  }
  let found = null;
  try {
    found = await response.json();
  } catch (error) {
    if (error.name === "AbortError" || error.name === "TimeoutError") throw silent();
    throw new Problem(`the server answered ${response.status}`, "", response.status);
  }
  if (found.problem) throw new Problem(found.problem.message, found.problem.hint, response.status);
  return found;
}
