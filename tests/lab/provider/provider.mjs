// The lab's OAuth 2 / OpenID provider: npm oidc-provider behind Entra's URL layout, one instance per tenant.
//   https://127.0.0.1:PORT/{tenant}/v2.0/.well-known/openid-configuration
//   .../{tenant}/oauth2/v2.0/{authorize,token,devicecode,logout,introspect,revoke}
//   .../{tenant}/discovery/v2.0/keys
// and, for tests, /lab/*: counters and faults (see ../README.md). It listens on loopback only.
import fs from 'node:fs';
import path from 'node:path';
import http from 'node:http';
import https from 'node:https';
import crypto from 'node:crypto';
import Koa from 'koa';
import mount from 'koa-mount';
import Provider, { errors } from 'oidc-provider';

const E = process.env;
const S = E.S;
const DIR = path.join(S, 'provider');
fs.mkdirSync(DIR, { recursive: true, mode: 0o700 });
const HTTPS_PORT = +E.OIDC_HTTPS_PORT, HTTP_PORT = +E.OIDC_HTTP_PORT, HOST = E.LAB_HOST;
const TENANTS = [E.TENANT, E.TENANT2];
const CALLBACKS = ['/api/cloudProviders/oauth2/microsoft/callback', '/api/cloudProviders/oauth2/google/callback'];
const RESOURCE = 'https://outlook.office.com';                 // opaque access tokens
const RESOURCE_JWT = 'https://outlook.office365.com';          // the same scopes, JWT access tokens
const NAMES = ['IMAP.AccessAsUser.All', 'SMTP.Send', 'POP.AccessAsUser.All', 'IMAP.AccessAsApp', 'SMTP.SendAsApp', '.default'];
const log = (s) => console.log(new Date().toISOString(), s);

// ---- keys: kept, so that a restart invalidates neither JWTs nor cookies ----
const keyFile = path.join(DIR, 'jwks.json');
if (!fs.existsSync(keyFile)) {
  const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  fs.writeFileSync(keyFile, JSON.stringify({
    cookie: crypto.randomBytes(32).toString('hex'),
    keys: [{ ...rsa, use: 'sig', alg: 'RS256', kid: 'lab-rs256-1' }],
  }), { mode: 0o600 });
}
const keys = JSON.parse(fs.readFileSync(keyFile, 'utf8'));
// Dovecot checks JWTs with the public key at <dir>/<azp or "default">/<ALG>/<kid>, PEM.
for (const k of keys.keys) {
  const dir = path.join(S, 'dovecot', 'oauth-keys', 'default', k.alg);
  fs.mkdirSync(dir, { recursive: true });
  fs.writeFileSync(path.join(dir, k.kid), crypto.createPublicKey({ key: k, format: 'jwk' }).export({ type: 'spki', format: 'pem' }));
}

// ---- storage: a Map written to disk (the bundled memory adapter forgets after 1,000 entries) ----
const storeFile = path.join(DIR, 'store.json');
const store = new Map();
try { for (const [k, v] of JSON.parse(fs.readFileSync(storeFile, 'utf8'))) store.set(k, v); } catch { /* first start */ }
let dirty = false;
const save = () => {
  if (!dirty) return;
  dirty = false;
  fs.writeFileSync(`${storeFile}.tmp`, JSON.stringify([...store]), { mode: 0o600 });
  fs.renameSync(`${storeFile}.tmp`, storeFile);
};
setInterval(() => {
  const now = Date.now();
  for (const [k, v] of store) if (v.e && v.e < now) store.delete(k);
  save();
}, 5000).unref();

// 'strict': an old refresh token dies at once and its re-use revokes the whole grant (a lost rotation shows).
// 'lenient': old refresh tokens stay valid, as Entra has it.
let rotation = 'strict';

const adapterFor = (tenant) => class {
  constructor(model) { this.model = model; this.p = `${tenant}/${model}`; }
  k(id) { return `${this.p}:${id}`; }
  async upsert(id, payload, ttl) { store.set(this.k(id), { v: payload, e: ttl ? Date.now() + ttl * 1000 : 0 }); dirty = true; }
  async find(id) {
    const r = store.get(this.k(id));
    if (!r) return undefined;
    if (r.e && r.e < Date.now()) { store.delete(this.k(id)); return undefined; }
    return r.v;
  }
  async #by(field, x) {
    for (const [k, r] of store) if (k.startsWith(`${this.p}:`) && r.v[field] === x) return this.find(k.slice(this.p.length + 1));
    return undefined;
  }
  async findByUid(uid) { return this.#by('uid', uid); }
  async findByUserCode(code) { return this.#by('userCode', code); }
  async destroy(id) { store.delete(this.k(id)); dirty = true; }
  async consume(id) {
    if (this.model === 'RefreshToken' && rotation === 'lenient') return;
    const r = store.get(this.k(id));
    if (r) { r.v.consumed = Math.floor(Date.now() / 1000); dirty = true; }
  }
  async revokeByGrantId(grant) {
    for (const [k, r] of store) if (k.startsWith(`${tenant}/`) && r.v.grantId === grant) store.delete(k);
    dirty = true;
  }
};

// ---- clients ----
// Confidential clients get an opaque pairwise `sub`, so that nobody mistakes it for the address.
const confidential = (id, secret) => ({
  client_id: id, client_secret: secret, token_endpoint_auth_method: 'client_secret_post', subject_type: 'pairwise',
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'], response_types: ['code'],
  redirect_uris: CALLBACKS.map((c) => `http://127.0.0.1${c}`),
});
// Proves itself with assertions signed by the certificate's key; as with Entra, each must name the certificate.
const certified = (id, certificate) => ({
  ...confidential(id), token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', subject_type: 'public',
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:device_code'],
  jwks: { keys: [{ ...certificate.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'PS256' }] },
  lab_thumbprint: crypto.createHash('sha256').update(certificate.raw).digest('base64url'),
});
const clients = [
  confidential(E.CLIENT_ID, E.CLIENT_SECRET),
  confidential(E.CLIENT60_ID, E.CLIENT60_SECRET),
  confidential(E.CLIENT5_ID, E.CLIENT5_SECRET),
  { client_id: E.NATIVE_CLIENT_ID, token_endpoint_auth_method: 'none', application_type: 'native', subject_type: 'public', response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    redirect_uris: CALLBACKS.map((c) => `http://127.0.0.1${c}`) },
  { client_id: E.DOVECOT_CLIENT_ID, client_secret: E.DOVECOT_CLIENT_SECRET, token_endpoint_auth_method: 'client_secret_basic', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
];
const fixed = new Map(clients.map((c) => [c.client_id, c]));
const lifetimes = new Map([[E.CLIENT60_ID, +E.LAB_AT_TTL60], [E.CLIENT5_ID, +E.LAB_AT_TTL5]]);
const madeKey = (id) => `lab:${id}`;                            // clients made by POST /lab/client
const ttl = (client) => lifetimes.get(client?.clientId) ?? store.get(madeKey(client?.clientId))?.v.ttl ?? +E.LAB_AT_TTL;
const secrets = new Map();                                      // POST /lab/secret; forgotten at a restart
const known = (id) => fixed.has(id) || store.has(madeKey(id));

// ---- users: every address exists, unless switched off ----
const disabled = new Set();
const revoked = new Set();
const guid = (s) => crypto.createHash('sha1').update(s).digest('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');

function makeProvider(tenant) {
  const p = new Provider(`https://${HOST}:${HTTPS_PORT}/${tenant}/v2.0`, {
    adapter: adapterFor(tenant),
    clients,
    jwks: { keys: keys.keys },
    cookies: { keys: [keys.cookie], names: { session: `s_${tenant.slice(0, 4)}`, interaction: `i_${tenant.slice(0, 4)}`, resume: `r_${tenant.slice(0, 4)}` } },
    routes: {
      authorization: '/oauth2/v2.0/authorize', token: '/oauth2/v2.0/token',
      device_authorization: '/oauth2/v2.0/devicecode', code_verification: '/oauth2/v2.0/deviceauth',
      end_session: '/oauth2/v2.0/logout', introspection: '/oauth2/v2.0/introspect',
      revocation: '/oauth2/v2.0/revoke', jwks: '/discovery/v2.0/keys', userinfo: '/oidc/userinfo',
    },
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    claims: { openid: ['sub', 'oid', 'tid', 'preferred_username', 'email', 'name'], profile: ['name', 'preferred_username'], email: ['email'] },
    conformIdTokenClaims: false,
    subjectTypes: ['pairwise', 'public'],
    pairwiseIdentifier: (_c, id, client) => crypto.createHash('sha256').update(`${client.clientId}|${id}`).digest('base64url'),
    extraClientMetadata: { properties: ['lab_thumbprint'] },
    assertJwtClientAuthClaimsAndHeader: async (_c, claims, header, client) => {
      if (header['x5t#S256'] !== client.metadata().lab_thumbprint || header.typ !== 'JWT' || claims.sub !== client.clientId
        || claims.exp - claims.nbf > 600) throw new errors.InvalidClientAuth('not as Entra wants it');
    },
    pkce: { required: (_c, client) => client.clientAuthMethod === 'none' },
    rotateRefreshToken: true,
    issueRefreshToken: async (_c, client, source) => client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access'),
    expiresWithSession: async () => false,
    ttl: {
      AccessToken: (_c, _t, client) => ttl(client), ClientCredentials: (_c, _t, client) => ttl(client),
      AuthorizationCode: 60, RefreshToken: 14 * 86400, IdToken: 3600, Session: 86400, Grant: 14 * 86400, Interaction: 600, DeviceCode: 600,
    },
    features: {
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async (_c, client, token) => client.clientId === E.DOVECOT_CLIENT_ID || client.clientId === token.clientId },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (ctx, _client, oneOf) => {
          if (oneOf) return Array.isArray(oneOf) ? oneOf[0] : oneOf;
          const scope = String(ctx.oidc.params?.scope ?? '');
          return [RESOURCE_JWT, RESOURCE].find((r) => scope.includes(r));
        },
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_c, r) => {
          if (r !== RESOURCE && r !== RESOURCE_JWT) throw Object.assign(new Error('unknown resource'), { status: 400 });
          return { scope: NAMES.map((n) => `${r}/${n}`).join(' '), audience: r, accessTokenFormat: r === RESOURCE_JWT ? 'jwt' : 'opaque', jwt: { sign: { alg: 'RS256' } } };
        },
      },
    },
    formats: { customizers: { jwt: async (_c, _t, jwt) => { jwt.header = { typ: 'JWT' }; } } },   // as Entra; Dovecot 2.3 refuses at+jwt
    // put into JWT access tokens and into introspection answers
    extraTokenClaims: async (_c, token) => {
      const who = token.accountId ?? `app/${token.clientId}`;
      return { tid: tenant, appid: token.clientId, idtyp: token.accountId ? 'user' : 'app', preferred_username: who, upn: who,
        scp: (token.scope ?? '').split(' ').map((s) => s.split('/').pop()).join(' ') };
    },
    findAccount: async (_c, id) => (disabled.has(id) || !/^[^@\s]+@[^@\s]+$/.test(id) ? undefined : {
      accountId: id,
      claims: async () => ({ sub: id, oid: guid(id), tid: tenant, email: id, preferred_username: id, name: id.split('@')[0] }),
    }),
    renderError: async (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
  });

  // A daemon under test listens on any port: the port of a loopback redirect URI is free (RFC 8252 §7.3), its path is not.
  p.Client.prototype.redirectUriAllowed = (value) => {
    try {
      const u = new URL(value);
      return u.protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(u.hostname) && CALLBACKS.includes(u.pathname) && !u.search && !u.hash;
    } catch { return false; }
  };
  p.Client.prototype.compareClientSecret = function compare(actual) { return actual === (secrets.get(this.clientId) ?? this.clientSecret); };

  for (const ev of ['server_error', 'authorization.error', 'grant.error', 'introspection.error']) {
    p.on(ev, (ctx, err) => {
      ctx.labDetail = err.error_detail ?? '';
      log(`${tenant.slice(0, 8)} ${ev} ${err.error ?? ''} ${err.error_description ?? ''} ${err.error_detail ?? err.stack?.split('\n')[0] ?? ''}`);
    });
  }
  p.on('grant.success', (ctx) => {
    const kind = ctx.oidc.params.grant_type, client = ctx.oidc.client.clientId, user = ctx.oidc.entities.Account?.accountId ?? '';
    if (kind === 'refresh_token') { bump('refreshesByClient', client); bump('refreshesByUser', user); } else bump('grants', `${kind} ${client} ${user}`);
    log(`${tenant.slice(0, 8)} grant.success ${kind} client=${client} user=${user}`);
  });
  return p;
}

// ---- errors as Entra words them ----
const SAYS = {
  7000215: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.",
  700027: "The certificate with identifier used to sign the client assertion is not registered on application. App '%s'.",
  7000218: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
  700016: "Application with identifier '%s' was not found in the directory 'Lab'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
  70008: 'The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.',
  700082: 'The refresh token has expired due to inactivity. The token was issued on 2026-01-01T00:00:00.0000000Z and was inactive for 90.00:00:00.',
  50057: 'The user account is disabled.',
  50173: 'The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.',
  50011: "The redirect URI specified in the request does not match the redirect URIs configured for the application '%s'.",
  501481: 'The Code_Verifier does not match the code_challenge supplied in the authorization request.',
  70011: 'The provided request must include a scope input parameter that is valid.',
  70003: 'The app requested an unsupported grant type.',
  90002: "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
  9002313: 'Invalid request. Request is malformed or invalid.',
};
function entraBody(error, code, arg) {
  const timestamp = new Date().toISOString().replace('T', ' ').replace(/\..*/, 'Z'), trace = crypto.randomUUID(), correlation = crypto.randomUUID();
  return {
    error,
    error_description: `AADSTS${code}: ${SAYS[code].replace('%s', arg)} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
    error_codes: [code], timestamp, trace_id: trace, correlation_id: correlation, error_uri: `https://login.microsoftonline.com/error?code=${code}`,
  };
}
function entraError(ctx, form, client) {
  const { error } = ctx.body, detail = ctx.labDetail ?? '', user = ctx.oidc?.entities?.RefreshToken?.accountId ?? '';
  let code = 9002313, name = error;
  if (error === 'invalid_client' && !known(client)) { code = 700016; name = 'unauthorized_client'; ctx.status = 400; }
  else if (error === 'invalid_client') code = form.has('client_assertion') ? 700027 : form.has('client_secret') || ctx.get('authorization') ? 7000215 : 7000218;
  else if (error === 'invalid_grant' && form.get('grant_type') === 'refresh_token') code = disabled.has(user) ? 50057 : revoked.has(form.get('refresh_token')) ? 50173 : 700082;
  else if (error === 'invalid_grant') code = /PKCE|verifier/i.test(detail) ? 501481 : /redirect_uri/.test(detail) ? 50011 : 70008;
  else if (error === 'invalid_scope') code = 70011;
  else if (error === 'unsupported_grant_type') code = 70003;
  ctx.body = entraBody(name, code, client);
  bump('tokenErrors', `${client} ${name} ${code}`);
}

// ---- counters and faults ----
let counters;
const reset = () => { counters = { requests: {}, refreshesByClient: {}, refreshesByUser: {}, grants: {}, tokenErrors: {}, faults: {} }; };
reset();
function bump(group, key) { counters[group][key] = (counters[group][key] ?? 0) + 1; }

let faults = [];       // {count, status, body, mode, delay, client, retryAfter}, used up in order at the token endpoint
async function control(ctx) {
  const q = ctx.query, post = ctx.method === 'POST';
  const what = ctx.path.slice('/lab/'.length);
  const bad = (m) => { ctx.status = 400; ctx.body = { error: m }; };
  if (what === 'health') { ctx.body = 'ok'; return; }
  if (what === 'counters') { ctx.body = counters; if (post) reset(); return; }
  if (!post) { ctx.status = 405; ctx.body = { error: 'POST' }; return; }
  if (what === 'disable' || what === 'enable') {
    if (!q.user) return bad('user=');
    if (what === 'disable') disabled.add(q.user); else disabled.delete(q.user);
    ctx.body = [...disabled];
  } else if (what === 'revoke') {                     // as after a password reset: the user's tokens are dead
    if (!q.user) return bad('user=');
    let n = 0;
    for (const [k, r] of store) {
      if (r.v.accountId !== q.user || !/\/(RefreshToken|AccessToken|Grant|Session):/.test(k)) continue;
      if (k.includes('/RefreshToken:')) revoked.add(r.v.jti);
      store.delete(k); n += 1;
    }
    dirty = true; ctx.body = { removed: n };
  } else if (what === 'secret') {
    if (!known(q.client) || !q.secret) return bad('client= of a known client and secret=');
    secrets.set(q.client, q.secret); ctx.body = { client: q.client };
  } else if (what === 'client') {                     // a client of a test's own: nobody else is disturbed by its faults
    const pem = await readBody(ctx.req);              // a certificate in place of the secret
    if (!q.client || !(q.secret || pem) || fixed.has(q.client)) return bad('client= (a new id) and secret= or a certificate');
    store.set(madeKey(q.client), { v: { ttl: +(q.ttl ?? E.LAB_AT_TTL) }, e: 0 });
    const made = pem ? certified(q.client, new crypto.X509Certificate(pem)) : confidential(q.client, q.secret);
    for (const t of TENANTS) store.set(`${t}/Client:${q.client}`, { v: made, e: 0 });
    if (q.secret) secrets.set(q.client, q.secret);
    dirty = true; ctx.body = { client: q.client };
  } else if (what === 'fail') {
    if (q.mode && !['answer', 'drop', 'lose'].includes(q.mode)) return bad('mode=answer|drop|lose');
    const body = await readBody(ctx.req);
    faults.push({ count: +(q.count ?? 1), status: +(q.status ?? 503), body: q.body ?? (body || ''), mode: q.mode ?? (q.delay && !q.status ? 'pass' : 'answer'), delay: +(q.delay ?? 0), client: q.client, retryAfter: q.retryAfter });
    ctx.body = faults;
  } else if (what === 'heal') {
    faults = faults.filter((f) => q.client && f.client !== q.client); ctx.body = faults;
  } else if (what === 'rotation') {
    if (!['strict', 'lenient'].includes(q.mode)) return bad('mode=strict|lenient');
    rotation = q.mode; ctx.body = { rotation };
  } else { ctx.status = 404; ctx.body = { error: 'no such control' }; }
}

async function readBody(req) {
  const parts = [];
  let size = 0;
  for await (const c of req) { size += c.length; if (size > 1 << 20) throw new Error('request body over 1 MiB'); parts.push(c); }
  return Buffer.concat(parts).toString('utf8');
}
function clientOf(ctx, form) {
  const basic = /^Basic (.+)$/i.exec(ctx.get('authorization'));
  return basic ? decodeURIComponent(Buffer.from(basic[1], 'base64').toString().split(':')[0]) : form.get('client_id') ?? '';
}

const app = new Koa();
app.keys = [keys.cookie];      // must equal the Provider's: some cookies are set through the outer app
app.use(async (ctx, next) => {
  if (ctx.path.startsWith('/lab/')) { await control(ctx); return; }
  const tenant = ctx.path.split('/')[1];
  const rest = ctx.path.split('/').slice(2).join('/');
  bump('requests', `${ctx.method} ${rest.replace(/(interaction|authorize)\/.*/, '$1/*')}`);
  // Entra serves discovery below /{tenant}/v2.0/
  ctx.path = ctx.path.replace(/^(\/[^/]+)\/v2\.0(\/\.well-known\/)/, '$1$2');
  // Entra gives a refresh token for offline_access without prompt=consent, and knows prompt=select_account
  if (/\/authorize$/.test(ctx.path) && ctx.method === 'GET') {
    const q = new URLSearchParams(ctx.querystring), prompt = q.get('prompt');
    if ((q.get('scope') ?? '').split(' ').includes('offline_access') && (!prompt || prompt === 'select_account')) {
      q.set('prompt', prompt ? 'login consent' : 'consent');
      ctx.querystring = q.toString();
    }
  }
  if (rest === 'oauth2/v2.0/token' && ctx.method === 'POST') { await token(ctx, next, tenant); return; }
  await next();
  // A JWT at introspection: the provider answers 400, which Dovecot takes for a passing failure; RFC 7662 lets it be inactive.
  if (ctx.path.endsWith('/introspect') && ctx.status === 400 && ctx.body?.error === 'unsupported_token_type') { ctx.status = 200; ctx.body = { active: false }; }
});

async function token(ctx, next, tenant) {
  const text = await readBody(ctx.req), form = new URLSearchParams(text), client = clientOf(ctx, form);
  ctx.request.body = text;
  const fault = faults.find((f) => f.count > 0 && (!f.client || f.client === client));
  if (fault) {
    fault.count -= 1;
    faults = faults.filter((f) => f.count > 0);
    bump('faults', client);
    log(`fault ${fault.mode} ${fault.status} client=${client}`);
    if (fault.delay) await new Promise((r) => { setTimeout(r, fault.delay); });
    if (fault.mode === 'drop') { ctx.respond = false; ctx.req.socket.destroy(); return; }
    if (fault.mode === 'answer') {
      ctx.status = fault.status;
      if (fault.retryAfter) ctx.set('Retry-After', fault.retryAfter);
      ctx.body = fault.body;
      ctx.type = /^\s*[{[]/.test(fault.body) ? 'json' : 'html';
      return;
    }
  }
  if (!TENANTS.includes(tenant)) { ctx.status = 400; ctx.body = entraBody('invalid_request', 90002, tenant); return; }
  await next();
  if (ctx.body?.error) entraError(ctx, form, client);
  // The answer is lost on the way: the grant was rotated, the client never hears of it.
  if (fault?.mode === 'lose') { ctx.respond = false; ctx.req.socket.destroy(); }
}

for (const t of TENANTS) app.use(mount(`/${t}`, makeProvider(t)));
app.on('error', (e) => log(`app error ${e.message}`));

const cb = app.callback();
const tls = { key: fs.readFileSync(path.join(S, 'tls/server.key')), cert: fs.readFileSync(path.join(S, 'tls/server.pem')) };
for (const [server, port] of [[https.createServer(tls, cb), HTTPS_PORT], [http.createServer(cb), HTTP_PORT]]) {
  server.keepAliveTimeout = 65000;
  server.listen(port, HOST, () => log(`listening ${HOST}:${port}`));
}
const bye = () => { dirty = true; save(); process.exit(0); };
process.on('SIGTERM', bye);
process.on('SIGINT', bye);
