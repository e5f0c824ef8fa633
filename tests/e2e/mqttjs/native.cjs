// MQTT.js over native TCP: every MQTT 5 property both ways, each QoS, retained, shared subscriptions, wills, reconnects.
'use strict'

const assert = require('node:assert/strict')
const { afterEach, test } = require('node:test')
const { open, closeAll, plain } = require('./clients.cjs')

afterEach(closeAll)

const PUBLISH = {
  payloadFormatIndicator: true,
  messageExpiryInterval: 1000,
  responseTopic: 'answers/here',
  correlationData: Buffer.from([0, 255, 1]),
  userProperties: { one: '1', many: ['a', 'b', 'ä'] },
  contentType: 'application/json'
}

function assertPublishProperties (got, more = {}) {
  const properties = { ...got }
  assert.ok(properties.messageExpiryInterval > 900 && properties.messageExpiryInterval <= 1000)
  delete properties.messageExpiryInterval
  const expected = { ...PUBLISH, ...more }
  delete expected.messageExpiryInterval
  assert.deepEqual(plain(properties), plain(expected))
}

// Publish what MESSAGE(0..COUNT-1) says, never more than WINDOW unacknowledged: MQTT.js itself ignores the Receive Maximum.
async function publishAll (client, count, message, window = 15) {
  const sent = []
  for (let i = 0; i < count; i++) {
    if (i >= window) await sent[i - window]
    sent.push(client.publishAsync(...message(i)))
  }
  await Promise.all(sent)
}

for (const protocolVersion of [3, 4, 5]) {
  test(`version ${protocolVersion} delivers each QoS unchanged and in order`, async () => {
    const topic = `order/${protocolVersion}`
    const names = protocolVersion === 3 ? { protocolId: 'MQIsdp' } : {}
    const { client, messages } = await open({ protocolVersion, ...names })
    const granted = await client.subscribeAsync({ [topic + '/0']: { qos: 0 }, [topic + '/1']: { qos: 1 }, [topic + '/2']: { qos: 2 } })
    assert.deepEqual(granted.map(one => one.qos).sort(), [0, 1, 2])
    for (const qos of [0, 1, 2]) {
      await publishAll(client, 100, i => [`${topic}/${qos}`, String(i), { qos }])
      const got = await messages.take(100)
      assert.deepEqual(got.map(one => Number(one.payload)), [...Array(100).keys()])
      assert.ok(got.every(one => one.packet.qos === qos && !one.packet.dup && !one.packet.retain))
    }
  })
}

test('every publish property arrives unchanged at each QoS', async () => {
  const { client, messages } = await open()
  await client.subscribeAsync('properties', { qos: 2 })
  for (const qos of [0, 1, 2]) {
    await client.publishAsync('properties', '{}', { qos, properties: PUBLISH })
    const { packet } = await messages.next()
    assert.equal(packet.qos, qos)
    assertPublishProperties(packet.properties)
  }
})

test('a retained message keeps its properties and its flag', async () => {
  const { client, messages } = await open()
  await client.publishAsync('retained/1', '{}', { qos: 1, retain: true, properties: PUBLISH })
  await client.subscribeAsync('retained/#', { qos: 1 })
  const { packet } = await messages.next()
  assert.equal(packet.retain, true)
  assertPublishProperties(packet.properties)
  await client.publishAsync('retained/1', '', { qos: 1, retain: true })
  assert.equal((await messages.next()).packet.retain, false)
  const late = await open()
  await late.client.subscribeAsync('retained/#', { qos: 1 })
  await client.publishAsync('retained/end', 'live', { qos: 1 })
  assert.equal(String((await late.messages.next()).payload), 'live')
})

test('retain handling and retain as published are obeyed', async () => {
  const { client } = await open()
  await client.publishAsync('rh', 'kept', { qos: 1, retain: true })
  for (const [rh, expected] of [[0, ['kept', 'live']], [1, ['kept', 'live']], [2, ['live']]]) {
    const fresh = await open()
    await fresh.client.subscribeAsync('rh', { qos: 1, rh, rap: rh === 1 })
    await client.publishAsync('rh', 'live', { qos: 1, retain: true })
    const got = await fresh.messages.take(expected.length)
    assert.deepEqual(got.map(one => String(one.payload)), expected)
    assert.equal(got.at(-1).packet.retain, rh === 1)
    await client.publishAsync('rh', 'kept', { qos: 1, retain: true })
  }
})

test('no local keeps own messages away', async () => {
  const own = await open()
  const other = await open()
  await own.client.subscribeAsync('local', { qos: 1, nl: true })
  await own.client.publishAsync('local', 'own', { qos: 1 })
  await other.client.publishAsync('local', 'other', { qos: 1 })
  assert.equal(String((await own.messages.next()).payload), 'other')
})

test('subscription identifiers come with the messages they are for', async () => {
  const { client, messages } = await open()
  await client.subscribeAsync('id/+', { qos: 1, properties: { subscriptionIdentifier: 268435455, userProperties: { why: 'test' } } })
  await client.subscribeAsync('id/2', { qos: 1, properties: { subscriptionIdentifier: 9 } })
  await client.publishAsync('id/1', 'x', { qos: 1, properties: PUBLISH })
  assertPublishProperties((await messages.next()).packet.properties, { subscriptionIdentifier: 268435455 })
  await client.publishAsync('id/2', 'y', { qos: 1 })
  await client.publishAsync('id/3', 'end', { qos: 1 })
  const ids = []
  for (;;) {
    const { payload, packet } = await messages.next()
    if (String(payload) === 'end') break
    ids.push(packet.properties.subscriptionIdentifier)
  }
  assert.deepEqual(ids.flat().sort(), [268435455, 9].sort())
})

test('topic aliases are resolved in both directions', async () => {
  const receiver = await open({ properties: { topicAliasMaximum: 5 } })
  const sender = await open({ autoAssignTopicAlias: true })
  assert.ok(sender.connack.properties.topicAliasMaximum > 0)
  await receiver.client.subscribeAsync('alias/#', { qos: 1 })
  const topics = []
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8; i++) {
      topics.push(`alias/${i}`)
      await sender.client.publishAsync(`alias/${i}`, 'x', { qos: 1 })
    }
  }
  const got = await receiver.messages.take(topics.length)
  assert.deepEqual(got.map(one => one.topic), topics)
})

test('CONNACK says who the client is and what the broker can do', async () => {
  const { client, connack } = await open({ clientId: '', properties: { requestProblemInformation: true, userProperties: { from: 'test' } } })
  assert.ok(connack.properties.assignedClientIdentifier.length > 0)
  assert.equal(connack.reasonCode, 0)
  assert.equal(connack.sessionPresent, false)
  await client.subscribeAsync('capable/+/#', { qos: 2 })
})

test('a shared subscription gives each message to one member', async () => {
  const members = await Promise.all([open(), open(), open()])
  let got = []
  const all = new Promise(resolve => {
    for (const member of members) {
      member.client.on('message', (_topic, payload) => {
        got.push(Number(payload))
        if (String(payload) === 'end' || got.length === 90) resolve()
      })
    }
  })
  for (const member of members) await member.client.subscribeAsync('$share/crew/job/+', { qos: 1 })
  const sender = await open()
  for (let i = 0; i < 90; i++) await sender.client.publishAsync(`job/${i % 7}`, String(i), { qos: 1 })
  await all
  got = got.sort((a, b) => a - b)
  assert.deepEqual(got, [...Array(90).keys()])
  assert.ok(members.every(member => member.messages.items.length > 0), 'a member got nothing')
})

test('a will carries its properties and comes after its delay', async () => {
  const watcher = await open()
  await watcher.client.subscribeAsync('will/#', { qos: 2 })
  const will = { topic: 'will/1', payload: 'gone', qos: 2, retain: false, properties: { ...PUBLISH, willDelayInterval: 1 } }
  const doomed = await open({ reconnectPeriod: 0, properties: { sessionExpiryInterval: 100 }, will })
  const left = Date.now()
  doomed.client.stream.destroy()
  const { packet } = await watcher.messages.next()
  assert.ok(Date.now() - left >= 990)
  assert.equal(packet.qos, 2)
  assertPublishProperties(packet.properties)
})

test('a session outlives its connection and gives what came meanwhile', async () => {
  const options = { clientId: 'outlives', clean: false, properties: { sessionExpiryInterval: 100 } }
  const first = await open(options)
  await first.client.subscribeAsync('away', { qos: 2 })
  await first.client.endAsync()
  const sender = await open()
  for (let i = 0; i < 20; i++) await sender.client.publishAsync('away', String(i), { qos: 1 + i % 2, properties: PUBLISH })
  const again = await open(options)
  assert.equal(again.connack.sessionPresent, true)
  const got = await again.messages.take(20)
  for (const one of got) assertPublishProperties(one.packet.properties)
  for (const qos of [1, 2]) {
    assert.deepEqual(got.filter(one => one.packet.qos === qos).map(one => Number(one.payload)),
      [...Array(20).keys()].filter(i => 1 + i % 2 === qos))
  }
})

// A repeated PUBREL whose PUBCOMP was lost: 0x92 is "not an error during recovery" [MQTT 5.0, 3.7.2.1], but MQTT.js takes it for one.
function notFoundIsFine (error) {
  if (error.code !== 0x92) throw error
}

test('nothing is lost when sockets break again and again', async () => {
  const options = { clean: false, properties: { sessionExpiryInterval: 100 } }
  const receiver = await open({ ...options, clientId: 'breaks-receiver' })
  const sender = await open({ ...options, clientId: 'breaks-sender' })
  await receiver.client.subscribeAsync('breaks/#', { qos: 2 })
  const count = 100
  for (const qos of [1, 2]) {
    const seen = new Set()
    const sent = []
    for (let i = 0; i < count; i++) {
      if (i >= 15) await sent[i - 15]
      sent.push(sender.client.publishAsync(`breaks/${qos}`, String(i), { qos }).catch(notFoundIsFine))
      if (i % 20 === 10) {
        // a break hits only what is under way, so let something through first
        seen.add(String((await receiver.messages.next()).payload))
        const { client, connacks } = i % 40 === 10 ? receiver : sender
        client.stream.destroy()
        await connacks.next()
      }
    }
    await Promise.all(sent)
    while (seen.size < count) seen.add(String((await receiver.messages.next()).payload))
  }
})

test('a megabyte goes through unchanged', async () => {
  const { client, messages } = await open()
  const payload = Buffer.alloc(1024 * 1024, 'payload ')
  for (const qos of [0, 1, 2]) {
    await client.subscribeAsync(`big/${qos}`, { qos })
    await client.publishAsync(`big/${qos}`, payload, { qos })
    assert.ok(payload.equals((await messages.next()).payload))
  }
})

test('a publish that nobody receives says so, and unsubscribing works', async () => {
  const { client, messages } = await open()
  await client.subscribeAsync('un', { qos: 1 })
  await client.unsubscribeAsync('un', { properties: { userProperties: { a: 'b' } } })
  const ack = await client.publishAsync('un', 'x', { qos: 1 })
  assert.ok(ack.reasonCode === undefined || ack.reasonCode === 0 || ack.reasonCode === 0x10)
  assert.equal(messages.items.length, 0)
})

test('leaving with reason 4 sends the will', async () => {
  const watcher = await open()
  await watcher.client.subscribeAsync('leaves', { qos: 1 })
  const doomed = await open({ will: { topic: 'leaves', payload: 'x', qos: 1, retain: false } })
  await doomed.client.endAsync(false, { reasonCode: 4, properties: { reasonString: 'bye', userProperties: { a: 'b' } } })
  assert.equal(String((await watcher.messages.next()).payload), 'x')
})
