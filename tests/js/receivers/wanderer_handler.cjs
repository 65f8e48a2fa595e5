// Wanderer's post on its real-time events: the Express handler and its verification, as they stand there.
const express = require('express');
const crypto = require('crypto');

const app = express();
app.use(express.json());

const webhookSecret = process.env.WEBHOOK_SECRET;
const processEvent = () => {};

// Express.js webhook handler
app.post('/webhook', (req, res) => {
  // Verify signature
  const signature = req.headers['x-wanderer-signature'];
  const timestamp = req.headers['x-wanderer-timestamp'];
  
  if (!verifyWebhookSignature(req.body, signature, timestamp, webhookSecret)) {
    return res.status(401).send('Invalid signature');
  }
  
  // Process the event
  const event = req.body;
  console.log(`Received ${event.type} event for map ${event.map_id}`);
  
  // Always respond quickly
  res.status(200).send('OK');
  
  // Process event asynchronously
  processEvent(event);
});

function verifyWebhookSignature(payload, signature, timestamp, secret) {
  const data = `${timestamp}.${JSON.stringify(payload)}`;
  const hmac = crypto.createHmac('sha256', secret);
  const expectedSignature = `sha256=${hmac.update(data).digest('hex')}`;
  
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature)
  );
}

app.listen(process.env.PORT);
