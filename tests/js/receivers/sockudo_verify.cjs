// Sockudo's webhook guide: the verification alone, as it stands there, over the body as text.
const express = require('express');
const crypto = require('crypto');

function verifyWebhook(body, signature, secret) {
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

const app = express();
app.use(express.text({ type: 'application/json' }));

app.post('/webhooks/sockudo', (request, response) => {
  const isValid = verifyWebhook(
    request.body,
    request.headers['x-pusher-signature'],
    process.env.PUSHER_SECRET
  );
  response.sendStatus(isValid ? 200 : 401);
});

app.listen(process.env.PORT);
