// Public verifier libraries: npm standardwebhooks, svix and pusher. The path names the library, the
// query the secret: `/svix?secret=whsec_…`, `/pusher?key=…&secret=…`. Secrets that are no `whsec_…`
// are taken as they are.
const express = require('express');
const standardwebhooks = require('standardwebhooks');
const svix = require('svix');
const Pusher = require('pusher');

const app = express();
app.use(express.raw({ type: () => true, limit: '1mb' }));

function standard(Webhook) {
  return (req) => {
    const format = req.query.secret.startsWith('whsec_') ? undefined : { format: 'raw' };
    new Webhook(req.query.secret, format).verify(req.body.toString(), req.headers);
    return true;
  };
}

const verifiers = {
  standardwebhooks: standard(standardwebhooks.Webhook),
  svix: standard(svix.Webhook),
  pusher: (req) => {
    const { key, secret } = req.query;
    const webhook = new Pusher({ appId: '1', key, secret }).webhook({
      rawBody: req.body.toString(),
      headers: req.headers,
    });
    return webhook.isValid() && Array.isArray(webhook.getEvents());
  },
};

app.post('/:library', (req, res) => {
  let valid = false;
  try {
    valid = verifiers[req.params.library](req);
  } catch (error) {
    if (!/signature/i.test(error.message)) console.error(error);
  }
  res.sendStatus(valid ? 200 : 401);
});

app.listen(process.env.PORT);
