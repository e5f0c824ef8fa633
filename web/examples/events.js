// Live values with nothing but the browser's EventSource. It comes back by itself after a loss and then says how far it had got, so that
// nothing is missed; retained values come first.
'use strict'

const FILTER = 'home/#'

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

const source = new EventSource('/events?filter=' + encodeURIComponent(FILTER))

source.addEventListener('message', event => {
  const message = JSON.parse(event.data)
  show(message.topic, message.payload_encoding === 'base64' ? '(binary) ' + message.payload : message.payload)
})
source.addEventListener('synced', () => say('live', 'good')) // all retained values have come
source.addEventListener('gap', () => { // we were away for too long: what follows begins anew
  values.replaceChildren()
  rows.clear()
})
source.addEventListener('error', () => {
  say(source.readyState === EventSource.CLOSED ? 'refused' : 'connection lost, trying again', 'bad')
})
