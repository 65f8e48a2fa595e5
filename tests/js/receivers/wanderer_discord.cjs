// Wanderer's post on its real-time events: the transformer for Discord, as it stands there but for the port.
const express = require('express');
const crypto = require('crypto');
const axios = require('axios');

const app = express();
app.use(express.json());

// Configuration
const WEBHOOK_SECRET = process.env.WEBHOOK_SECRET;
const DISCORD_WEBHOOK_URL = process.env.DISCORD_WEBHOOK_URL;

// Event formatters for Discord
const formatters = {
  add_system: (event) => ({
    embeds: [{
      title: "New System Added",
      description: `System **${event.payload.name}** has been added to the map`,
      color: 0x00ff00,
      fields: [
        { name: "System ID", value: event.payload.solar_system_id, inline: true },
        { name: "Type", value: event.payload.type || "Unknown", inline: true }
      ],
      timestamp: event.ts
    }]
  }),
  
  map_kill: (event) => ({
    embeds: [{
      title: "Kill Detected",
      description: `${event.payload.victim.ship} destroyed in ${event.payload.system_name}`,
      color: 0xff0000,
      fields: [
        { name: "Victim", value: event.payload.victim.name, inline: true },
        { name: "Ship", value: event.payload.victim.ship, inline: true },
        { name: "Value", value: `${(event.payload.value / 1000000).toFixed(1)}M ISK`, inline: true }
      ],
      url: `https://zkillboard.com/kill/${event.payload.killmail_id}`,
      timestamp: event.ts
    }]
  }),
  
  connection_added: (event) => ({
    embeds: [{
      title: "New Connection",
      description: `Connection established: **${event.payload.from_name}** → **${event.payload.to_name}**`,
      color: 0x0099ff,
      fields: [
        { name: "Type", value: event.payload.type || "Unknown", inline: true },
        { name: "Mass Status", value: event.payload.mass_status || "Fresh", inline: true }
      ],
      timestamp: event.ts
    }]
  })
};

// Webhook endpoint
app.post('/webhook', async (req, res) => {
  // Verify signature
  const signature = req.headers['x-wanderer-signature'];
  const timestamp = req.headers['x-wanderer-timestamp'];
  
  if (!verifySignature(req.body, signature, timestamp)) {
    return res.status(401).send('Invalid signature');
  }
  
  // Respond immediately
  res.status(200).send('OK');
  
  // Process event
  const event = req.body;
  const formatter = formatters[event.type];
  
  if (formatter) {
    try {
      const discordPayload = formatter(event);
      await axios.post(DISCORD_WEBHOOK_URL, discordPayload);
    } catch (error) {
      console.error('Failed to send to Discord:', error);
    }
  }
});

function verifySignature(payload, signature, timestamp) {
  const data = `${timestamp}.${JSON.stringify(payload)}`;
  const hmac = crypto.createHmac('sha256', WEBHOOK_SECRET);
  const expected = `sha256=${hmac.update(data).digest('hex')}`;
  return crypto.timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
}

app.listen(process.env.PORT, () => {
  console.log('Discord webhook transformer running on port 3000');
});
