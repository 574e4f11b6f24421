// Requests through the proxy with undici, verified by SHA-256 sums. The environment says where everything is: ORIGIN,
// PROXY_HTTP and PROXY_HTTPS are addresses, PROXY_CA is a file. plain.clients.test is served on HTTP, tls.clients.test on
// HTTPS. Run by Node's own test runner, with TAP output.
'use strict'
const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const diagnostics = require('node:diagnostics_channel')
const fs = require('node:fs')
const { Readable } = require('node:stream')
const { test } = require('node:test')
const { Client, Pool } = require('undici')

const DEADLINE = 60_000
// Ten times what the proxy leaves a client that may only have ended its own direction, and less than the time for the
// first byte of a response, after which every request ends.
const SOON = 10_000
const SUM = 'x-content-sha256'

const sumOf = (data) => crypto.createHash('sha256').update(data).digest('hex')

async function take (body) {
  const sum = crypto.createHash('sha256')
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    sum.update(part)
  }
  return { bytes, sum: sum.digest('hex') }
}

// The name is what the certificate must show; the address is the proxy's.
const lookup = (_, options, found) =>
  options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4)

const bases = {
  http: `http://plain.clients.test:${process.env.PROXY_HTTP.split(':')[1]}`,
  https: `https://tls.clients.test:${process.env.PROXY_HTTPS.split(':')[1]}`
}
const connect = { lookup, ca: fs.readFileSync(process.env.PROXY_CA) }

function overBoth (name, Kind, options, body) {
  for (const scheme of ['http', 'https']) {
    test(`${name} over ${scheme}`, { timeout: DEADLINE * 2 }, async () => {
      const client = new Kind(bases[scheme], { connect, ...options })
      let connections = 0
      client.on('connect', () => { connections++ })
      try {
        await body(client, scheme, () => connections)
      } finally {
        await client.destroy()
      }
    })
  }
}

// Asks the origin itself until the record of a name is as it should be.
async function eventually (id, within, wanted) {
  const origin = new Client(`http://${process.env.ORIGIN}`)
  let last
  try {
    for (const end = Date.now() + within; Date.now() < end;) {
      const { statusCode, body } = await origin.request({ method: 'GET', path: `/records/${id}` })
      last = await body.text()
      if (statusCode === 200 && wanted(JSON.parse(last))) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  } finally {
    await origin.destroy()
  }
  assert.fail(`request ${id}: not as it should be within ${within} ms; last seen: ${last}`)
}

overBoth('downloads', Client, {}, async (client, _, connections) => {
  for (const count of [0, 1, 16_385, 1 << 20, 32 << 20]) {
    const { headers, body } = await client.request({ method: 'GET', path: `/bytes/${count}` })
    assert.deepEqual(await take(body), { bytes: count, sum: headers[SUM] })
    assert.equal(headers['content-length'], `${count}`)
  }
  assert.equal(connections(), 1)
})

overBoth('downloads in chunks with trailers', Client, {}, async (client) => {
  for (const count of [1, 65_537, 8 << 20]) {
    const { headers, body, trailers } = await client.request({ method: 'GET', path: `/stream/${count}` })
    assert.deepEqual(await take(body), { bytes: count, sum: trailers[SUM] })
    assert.equal(headers['content-length'], undefined)
  }
})

overBoth('uploads', Client, {}, async (client, _, connections) => {
  for (const count of [0, 1, 16_385, 1 << 20, 32 << 20]) {
    const data = crypto.randomBytes(count)
    const { body } = await client.request({ method: 'PUT', path: '/digest', body: data })
    const received = await body.json()
    assert.equal(received.sha256, sumOf(data))
    assert.equal(received.contentLength, count)
  }
  assert.equal(connections(), 1)
})

overBoth('uploads in chunks', Client, {}, async (client) => {
  for (const count of [1, 65_537, 8 << 20]) {
    const data = crypto.randomBytes(count)
    const parts = []
    for (let at = 0, size = 1; at < count; at += size, size = size * 5 % 60_013 + 1) parts.push(data.subarray(at, at + size))
    const { body } = await client.request({ method: 'POST', path: '/digest', body: Readable.from(parts) })
    const received = await body.json()
    assert.equal(received.sha256, sumOf(data))
    assert.equal(received.contentLength, -1)
  }
})

overBoth('keep-alive', Client, {}, async (client, _, connections) => {
  for (let i = 0; i < 200; i++) {
    const { headers, body } = await client.request({ method: 'GET', path: `/bytes/${i * 37}` })
    assert.deepEqual(await take(body), { bytes: i * 37, sum: headers[SUM] })
  }
  assert.equal(connections(), 1)
})

// Requests are sent before the answers to earlier ones have come; answers keep their order (RFC 9112, 9.3.2).
overBoth('pipelining', Client, { pipelining: 16 }, async (client, _, connections) => {
  let underWay = 0
  let most = 0
  // What undici says of itself: a head was written, a response's head was read.
  const sent = () => { most = Math.max(most, ++underWay) }
  const answered = () => { underWay-- }
  diagnostics.subscribe('undici:client:sendHeaders', sent)
  diagnostics.subscribe('undici:request:headers', answered)
  await Promise.all(Array.from({ length: 400 }, async (_, i) => {
    const { headers, body } = await client.request({ method: 'GET', path: `/${i % 3 ? 'bytes' : 'stream'}/${i * 211}` })
    const { bytes, sum } = await take(body)
    assert.equal(bytes, i * 211)
    if (i % 3) assert.equal(sum, headers[SUM])
  }))
  diagnostics.unsubscribe('undici:client:sendHeaders', sent)
  diagnostics.unsubscribe('undici:request:headers', answered)
  assert.ok(most > 4, `at most ${most} requests were under way`)
  assert.equal(connections(), 1)
})

overBoth('many at once', Pool, { connections: 16 }, async (pool) => {
  await Promise.all(Array.from({ length: 600 }, async (_, i) => {
    const count = i * 1_117 % 300_000
    const { headers, body } = await pool.request({ method: 'GET', path: `/bytes/${count}` })
    assert.deepEqual(await take(body), { bytes: count, sum: headers[SUM] })
  }))
})

overBoth('abandoned requests are cancelled at the origin', Client, {}, async (client, scheme) => {
  async function abandon (name, request, far) {
    const id = `undici-${name}-${scheme}`
    const control = new AbortController()
    const ended = assert.rejects((async () => {
      const { body } = await client.request({ ...request, headers: { 'x-test-id': id }, signal: control.signal })
      await take(body)
    })(), { name: 'AbortError' })
    await eventually(id, DEADLINE, far)
    control.abort()
    await ended
    await eventually(id, SOON, (it) => it.state === 'cancelled' && it.times === 1)
  }
  await abandon('download', { method: 'GET', path: '/endless' }, (it) => it.sent > 4 << 20)
  await abandon('waiting', { method: 'GET', path: '/nothing' }, (it) => it.state === 'open')
  const slow = Readable.from((async function * () {
    for (;;) {
      yield Buffer.alloc(64 << 10)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })())
  await abandon('upload', { method: 'PUT', path: '/digest', body: slow }, (it) => it.received > 1 << 20)
  const { headers, body } = await client.request({ method: 'GET', path: '/bytes/1000' })
  assert.equal((await take(body)).sum, headers[SUM])
})

overBoth('an upload that is refused early gets its answer', Client, {}, async (client) => {
  const data = crypto.randomBytes(32 << 20)
  for (let i = 0; i < 5; i++) {
    const { statusCode, body } = await client.request({ method: 'POST', path: '/refuse', body: data })
    assert.equal(statusCode, 413)
    assert.equal(await body.text(), 'no body is wanted here\n')
  }
})
