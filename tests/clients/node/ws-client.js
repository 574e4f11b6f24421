// A WebSocket client with the library ws: sends seeded messages of mixed sizes, in fragments and with pings between, then
// closes at once while most answers are still to come, and prints what became of them as one line of JSON.
'use strict'
const crypto = require('node:crypto')
const fs = require('node:fs')
const WebSocket = require('ws')

const { SEED, MESSAGES, LARGEST, DEFLATE, PROXY_CA, URL } = process.env

// mulberry32: 32 bits of state, the same numbers for the same seed everywhere.
let state = Number(SEED) >>> 0
function random () {
  state = (state + 0x6D2B79F5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = (n) => Math.floor(random() * n)

const bytes = Buffer.from(Array.from({ length: 1 << 16 }, () => below(256)))
const letters = Buffer.from(Array.from({ length: 1 << 16 }, () => 97 + below(26)))
const classes = [[5, 0, 1], [35, 1, 126], [50, 126, 4096], [9, 4096, 65_536], [1, 65_536, 262_144]]

function size () {
  let at = below(100)
  for (const [share, from, to] of classes) {
    if (at < share) return from + below(to - from)
    at -= share
  }
  throw new Error('the shares do not add up to 100')
}

function message (i) {
  if (i === MESSAGES >> 1) return { binary: true, data: fill(bytes, Number(LARGEST)), parts: 1 }
  const binary = below(2) === 0
  const count = size()
  // Letters of two bytes, so that a fragment may end within one.
  const data = binary ? fill(bytes, count) : Buffer.concat([Buffer.from('é'), fill(letters, count), Buffer.from('ü')])
  return { binary, data, parts: below(10) === 0 ? 2 + below(4) : 1 }
}

function fill (pool, count) {
  const data = Buffer.allocUnsafe(count)
  for (let at = 0, from = below(pool.length); at < count; from = 0) at += pool.copy(data, at, from)
  return data
}

function account (sum, binary, data) {
  const head = Buffer.alloc(9)
  head.write(binary ? 'b' : 't')
  head.writeBigUInt64BE(BigInt(data.length), 1)
  sum.update(head).update(data)
}

const socket = new WebSocket(URL, {
  ca: fs.readFileSync(PROXY_CA),
  lookup: (_, options, found) =>
    options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
  maxPayload: 128 << 20,
  perMessageDeflate: DEFLATE === 'true'
})
const sent = crypto.createHash('sha256')
const received = crypto.createHash('sha256')
const result = { received: 0, pings: 0, pongs: 0, lastPongIsLastPing: false, summary: null, extensions: '' }
let lastPing = ''

socket.on('error', (error) => { console.error(error); process.exit(1) })
socket.on('pong', (data) => { result.pongs++; result.lastPongIsLastPing = data.toString() === lastPing })
socket.on('message', (data, binary) => {
  if (result.received === Number(MESSAGES)) { result.summary = JSON.parse(data.toString()); return }
  result.received++
  account(received, binary, data)
})
socket.on('close', (code) => {
  console.log(JSON.stringify({ ...result, code, sentSum: sent.digest('hex'), receivedSum: received.digest('hex') }))
})
socket.on('open', async () => {
  result.extensions = socket.extensions
  // Resolved when the bytes are handed to the kernel: no more is in memory than needed.
  const send = (data, options) => new Promise((resolve, reject) =>
    socket.send(data, options, (error) => error ? reject(error) : resolve()))
  for (let i = 0; i < Number(MESSAGES); i++) {
    // Writing never waits while the kernel has room, and what is not waited for keeps everything else from running.
    if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
    const { binary, data, parts } = message(i)
    account(sent, binary, data)
    for (let part = 0; part < parts; part++) {
      const at = (n) => Math.floor(data.length * n / parts)
      await send(data.subarray(at(part), at(part + 1)), { binary, fin: part === parts - 1 })
      if (below(20) === 0) socket.ping(lastPing = `ping ${++result.pings}`)
    }
  }
  await send('sum', { binary: false })
  // Nothing more is sent; what is under way still comes, then the other side's Close (RFC 6455, 5.5.1).
  socket.close(1000)
})
