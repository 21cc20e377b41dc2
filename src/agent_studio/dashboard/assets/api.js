// The only module that speaks to the server: questions, the stream of changes, and the token for doing things.

const KEY = "agent-studio-token";

/** A fault the server has described, or that it could not be reached. */
export class Problem extends Error {
  constructor(message, hint = "", status = 0) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** Keep the token that came behind `#`, and take it out of the address. */
export function takeToken() {
  const found = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(KEY, found[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

export function hasToken() {
  return sessionStorage.getItem(KEY) !== null;
}

export async function ask(name, parameters, signal) {
  return answer(await request(`/api/${name}?${new URLSearchParams(parameters)}`, { signal }));
}

export async function act(name, wanted) {
  return answer(await request(`/api/alerts/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wanted),
  }));
}

/** Call `changed` with every new revision and `state` with `live` or `lost`, until the signal is aborted. */
export async function follow(environment, changed, state, signal) {
  for (let pause = 1; !signal.aborted; pause = Math.min(pause * 2, 30)) {
    try {
      const response = await request(`/events?${new URLSearchParams({ env: environment })}`, { signal });
      if (!response.ok) throw new Problem(`the stream answered ${response.status}`);
      state("live");
      for await (const revision of revisions(response.body)) {
        pause = 1;
        changed(revision);
      }
    } catch {
      if (signal.aborted) return;
    }
    state("lost");
    await new Promise((resolve) => setTimeout(resolve, pause * 1_000));
  }
}

async function* revisions(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
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
    throw new Problem("The server does not answer.", "Start it again; this page goes on by itself.");
  }
}

async function answer(response) {
  if (response.status === 401 && response.headers.get("content-type")?.startsWith("text/plain")) {
    throw new Problem("This address is answered only with its token.", "Open it with the token once: /dashboard#token=TOKEN", 401);
  }
  let found = null;
  try {
    found = await response.json();
  } catch {
    throw new Problem(`the server answered ${response.status}`, "", response.status);
  }
  if (found.problem) throw new Problem(found.problem.message, found.problem.hint, response.status);
  return found;
}
