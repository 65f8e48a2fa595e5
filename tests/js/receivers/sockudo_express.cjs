// Sockudo's webhook guide: the Express handler, as it stands there.
const express = require('express');
const crypto = require('crypto');

const app = express();
app.use(express.raw({ type: 'application/json' }));

app.post('/webhooks/sockudo', (req, res) => {
  // Verify signature
  const signature = req.headers['x-pusher-signature'];
  const body = req.body;
  const secret = process.env.PUSHER_SECRET;

  if (!verifySignature(body, signature, secret)) {
    return res.status(401).send('Unauthorized');
  }

  const payload = JSON.parse(body);

  payload.events.forEach(event => {
    processEvent(event);
  });

  res.status(200).send('OK');
});

function verifySignature(body, signature, secret) {
  const expectedSignature = crypto
    .createHmac('sha256', secret)
    .update(body, 'utf8')
    .digest('hex');

  const receivedSignature = signature.replace('sha256=', '');

  return crypto.timingSafeEqual(
    Buffer.from(expectedSignature, 'hex'),
    Buffer.from(receivedSignature, 'hex')
  );
}

function processEvent(event) {
  switch (event.name) {
    case 'member_added':
      console.log(`User ${event.user_id} joined ${event.channel}`);
      // Update database, send notifications, etc.
      break;
    case 'member_removed':
      console.log(`User ${event.user_id} left ${event.channel}`);
      break;
    case 'client_event':
      console.log(`Client event ${event.event} on ${event.channel}`);
      break;
  }
}

app.listen(process.env.PORT);
