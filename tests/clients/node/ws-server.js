// A WebSocket server with the library ws: says its port, gives every message back, and tells in the end what it got.
// It ends when its standard input does, so that it never outlives a test.
'use strict'
const crypto = require('node:crypto')
const { WebSocketServer } = require('ws')

const HIGH_WATER = 256 << 10

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  maxPayload: 128 << 20,
  // What was read before the pause took effect may hold many pings.
  maxPendingAutoPongs: 10_000,
  perMessageDeflate: process.env.DEFLATE === 'true'
})
server.on('listening', () => console.log(`127.0.0.1:${server.address().port}`))
server.on('connection', (socket) => {
  const sum = crypto.createHash('sha256')
  let messages = 0
  let pongs = 0
  socket.on('error', (error) => console.error(error))
  socket.on('pong', () => { pongs++ })
  socket.on('message', (data, binary) => {
    if (!binary && data.length === 3 && data.toString() === 'sum') {
      socket.send(JSON.stringify({ messages, pongs, sha256: sum.digest('hex') }))
      return
    }
    messages++
    const head = Buffer.alloc(9)
    head.write(binary ? 'b' : 't')
    head.writeBigUInt64BE(BigInt(data.length), 1)
    sum.update(head).update(data)
    if (messages % 500 === 0) socket.ping()
    // Some come back in two fragments, whatever they came in.
    const at = data.length % 7 === 3 ? data.length >> 1 : 0
    if (at > 0) socket.send(data.subarray(0, at), { binary, fin: false })
    // Nothing more is read while much is still to be written.
    socket.send(data.subarray(at), { binary, fin: true }, () => { if (socket.isPaused) socket.resume() })
    if (socket.bufferedAmount > HIGH_WATER) socket.pause()
  })
})
process.stdin.on('end', () => process.exit(0)).resume()
