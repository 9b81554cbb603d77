/**
 * Signing in at the hosted page of the users' pool: the authorization code flow with PKCE (RFC 7636).
 * Tokens are held in memory alone: a reload gets new ones from the sign-in's own session. What must outlive the way there
 * and back is in sessionStorage, used once: the state, the verifier, and what the page showed.
 */

const PENDING = "windrow-sign-in";
const SCOPE = "openid email results/read";
const EARLY_MS = 60_000; // a token is renewed so long before it expires

/** The session of a page with sign-in, once somebody is signed in; null for a page without one. */
export async function sessionOf(document) {
  const { authority, client } = document.documentElement.dataset;
  if (!authority) return null;
  const session = new Session(authority, client, location.origin + location.pathname);
  await session.begin();
  return session;
}

class Session {
  #tokens = null;
  #renewing = null;

  constructor(authority, client, here) {
    Object.assign(this, { authority, client, here });
  }

  /** Take the code that the sign-in came back with, or go there; it ends only when somebody is signed in. */
  async begin() {
    const answer = new URLSearchParams(location.search);
    const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
    sessionStorage.removeItem(PENDING);
    if (!answer.has("code") && !answer.has("error")) return this.#leave();
    history.replaceState(null, "", this.here + (pending?.hash ?? location.hash));
    if (answer.has("error")) return this.#refused(answer.get("error_description") || answer.get("error"));
    // Another state is of an address that somebody else made: its code would sign in somebody else.
    if (!pending || pending.state !== answer.get("state")) return this.#refused("that sign-in was not begun on this page");
    const form = { grant_type: "authorization_code", code: answer.get("code"), redirect_uri: this.here, code_verifier: pending.verifier };
    const error = await this.#exchange(form);
    return error && this.#refused(error);
  }

  /** A token for a request, renewed if it expires soon; goes to the sign-in if that is refused. */
  async token() {
    if (Date.now() > this.#tokens.untilMs - EARLY_MS) await this.renew();
    return this.#tokens.access;
  }

  /** Get a new token, once for all who wait for it. */
  async renew() {
    this.#renewing ??= this.#exchange({ grant_type: "refresh_token", refresh_token: this.#tokens.refresh })
      .finally(() => { this.#renewing = null; });
    if (await this.#renewing) await this.#leave();
  }

  /** End the session here and at the sign-in. */
  async signOut() {
    const { refresh } = this.#tokens;
    this.#tokens = null;
    await this.#post("oauth2/revoke", { token: refresh }).catch(() => null); // it also expires by itself
    location.assign(`${this.authority}/logout?${new URLSearchParams({ client_id: this.client, logout_uri: this.here })}`);
  }

  /** Return what went wrong; nothing if there are new tokens. */
  async #exchange(form) {
    const response = await this.#post("oauth2/token", form).catch(() => null);
    const said = await response?.json().catch(() => null);
    if (!response?.ok || !said?.access_token) return said?.error ?? "the sign-in does not answer";
    const refresh = said.refresh_token ?? this.#tokens?.refresh;
    this.#tokens = { access: said.access_token, refresh, untilMs: Date.now() + 1000 * said.expires_in };
    return null;
  }

  #post(path, form) {
    return fetch(`${this.authority}/${path}`, { method: "POST", body: new URLSearchParams({ client_id: this.client, ...form }) });
  }

  /** Go to the sign-in; the page ends here. */
  async #leave() {
    const [verifier, state] = [random(), random()];
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state, hash: location.hash }));
    const wanted = {
      response_type: "code", client_id: this.client, redirect_uri: this.here, scope: SCOPE, state,
      code_challenge_method: "S256", code_challenge: base64url(new Uint8Array(digest)),
    };
    location.assign(`${this.authority}/oauth2/authorize?${new URLSearchParams(wanted)}`);
    return new Promise(() => {});
  }

  /** Say that nobody is signed in, with a way to try again: going there at once could go round for ever. */
  #refused(reason) {
    const banner = document.getElementById("banner");
    const again = document.createElement("button");
    again.textContent = "Sign in";
    again.addEventListener("click", () => this.#leave());
    banner.replaceChildren(`Nobody is signed in: ${reason} `, again);
    banner.hidden = false;
    return new Promise(() => {});
  }
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

function base64url(octets) {
  return btoa(String.fromCharCode(...octets)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
