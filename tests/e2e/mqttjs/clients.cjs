// MQTT.js with its events turned into promises that fail at a deadline. The broker's URL is in E2E_URL.
'use strict'

const mqtt = require('mqtt')

const DEADLINE_MS = 15000 * Number(process.env.E2E_TIMEOUT_MULTIPLIER || 1)
const opened = new Set()

// A queue that test code can await.
class Inbox {
  constructor (what) {
    this.what = what
    this.items = []
    this.waiting = []
  }

  put (item) {
    if (this.waiting.length > 0) this.waiting.shift()(item)
    else this.items.push(item)
  }

  next () {
    if (this.items.length > 0) return Promise.resolve(this.items.shift())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no ' + this.what + ' came')), DEADLINE_MS)
      this.waiting.push(item => {
        clearTimeout(timer)
        resolve(item)
      })
    })
  }

  async take (count) {
    const out = []
    while (out.length < count) out.push(await this.next())
    return out
  }
}

// A connected client: `client` is MQTT.js's own, `connack` its first CONNACK, `messages` what arrives as {topic, payload, packet}.
async function open (options = {}) {
  const client = mqtt.connect(process.env.E2E_URL, { protocolVersion: 5, reconnectPeriod: 10, connectTimeout: DEADLINE_MS, ...options })
  const out = { client, messages: new Inbox('message'), connacks: new Inbox('CONNACK'), packets: new Inbox('packet') }
  opened.add(client)
  client.on('message', (topic, payload, packet) => out.messages.put({ topic, payload, packet }))
  client.on('connect', packet => out.connacks.put(packet))
  client.on('packetreceive', packet => out.packets.put(packet))
  client.on('error', () => {})
  out.connack = await out.connacks.next()
  return out
}

async function closeAll () {
  await Promise.all([...opened].map(client => client.endAsync(true)))
  opened.clear()
}

// Node's Maps of user properties have no prototype; make them comparable.
function plain (properties) {
  return JSON.parse(JSON.stringify(properties, (_key, value) =>
    value && value.type === 'Buffer' ? 'hex:' + Buffer.from(value.data).toString('hex') : value))
}

module.exports = { open, closeAll, plain }
