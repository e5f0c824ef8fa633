// Publish a message with fetch. The body is the payload, as it is; the rest is in the query.
'use strict'

const field = id => document.getElementById(id)

function say (text, kind) {
  field('state').textContent = text
  field('state').className = kind
}

async function publish (topic, payload, qos, retain) {
  const query = new URLSearchParams({ topic, qos, retain })
  const response = await fetch('/topics?' + query, { method: 'POST', body: payload })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.detail || answer.title)
  return answer
}

field('form').addEventListener('submit', async event => {
  event.preventDefault()
  try {
    const answer = await publish(field('topic').value, field('payload').value, field('qos').value, field('retain').checked)
    say(answer.matched ? 'published, somebody is listening' : 'published, nobody is subscribed now', 'good')
  } catch (error) {
    say(error.message, 'bad')
  }
})
