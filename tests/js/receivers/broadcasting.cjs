// A receiver for the `broadcasting` profile: its guide says what is signed, and shows no receiver.
const express = require('express');
const crypto = require('crypto');

const app = express();

app.post('/webhooks/broadcasting', express.json(), (req, res) => {
  const { event, timestamp, data, signature } = req.body;
  const expected = crypto
    .createHmac('sha256', process.env.WEBHOOK_SECRET)
    .update(JSON.stringify({ event, timestamp, data }))
    .digest('hex');
  const valid = signature === expected && req.headers['x-webhook-signature'] === expected;
  res.sendStatus(valid ? 200 : 401);
});

app.listen(process.env.PORT);
