// Live values by MQTT over WebSocket. MQTT.js connects, keeps the connection alive and comes back after a loss.
'use strict'

const FILTER = 'home/#'
const SWITCH = 'home/kitchen/light/set'

const state = document.getElementById('state')
const values = document.getElementById('values')
const rows = new Map() // topic -> the cell that shows its value

function say (text, kind) {
  state.textContent = text
  state.className = kind
}

function show (topic, text) {
  let cell = rows.get(topic)
  if (!cell) {
    const row = values.insertRow()
    row.insertCell().textContent = topic
    cell = row.insertCell()
    cell.className = 'value'
    cell.dataset.topic = topic
    rows.set(topic, cell)
  }
  cell.textContent = text // never innerHTML: anybody may have published it
}

function start () {
  const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://'
  const client = mqtt.connect(scheme + location.host + '/mqtt', {
    protocolVersion: 5,
    reconnectPeriod: 1000,
    timerVariant: 'native' // the other one starts a worker from a blob, which a strict Content-Security-Policy forbids
  })

  client.on('connect', () => {
    say('connected', 'good')
    client.subscribe(FILTER, { qos: 1 })
  })
  client.on('close', () => say('connection lost, trying again', 'bad'))
  client.on('error', error => say(error.message, 'bad'))
  client.on('message', (topic, payload) => show(topic, payload.toString()))

  for (const word of ['on', 'off']) {
    document.getElementById(word).addEventListener('click', () => client.publish(SWITCH, word, { qos: 1 }))
  }
}

if (window.mqtt) start()
else say('mqtt.min.js is not here: it comes from npm, with ./dev build', 'bad')
