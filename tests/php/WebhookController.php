<?php
// Sockudo's webhook guide: the Laravel handler, as it stands there.

class WebhookController extends Controller
{
    public function handle(Request $request)
    {
        // Verify signature
        if (!$this->verifySignature($request)) {
            return response('Unauthorized', 401);
        }

        $payload = $request->json()->all();

        foreach ($payload['events'] as $event) {
            $this->processEvent($event);
        }

        return response('OK', 200);
    }

    private function verifySignature(Request $request): bool
    {
        $signature = $request->header('X-Pusher-Signature');
        $body = $request->getContent();
        $secret = config('broadcasting.connections.pusher.secret');

        $expectedSignature = hash_hmac('sha256', $body, $secret);
        $receivedSignature = str_replace('sha256=', '', $signature);

        return hash_equals($expectedSignature, $receivedSignature);
    }

    private function processEvent(array $event): void
    {
        switch ($event['name']) {
            case 'member_added':
                $this->handleMemberAdded($event);
                break;
            case 'member_removed':
                $this->handleMemberRemoved($event);
                break;
            case 'channel_occupied':
                $this->handleChannelOccupied($event);
                break;
            case 'channel_vacated':
                $this->handleChannelVacated($event);
                break;
        }
    }

    private function handleMemberAdded(array $event): void
    {
        // Update database, send notifications, etc.
        DB::table('presence_log')->insert([
            'channel' => $event['channel'],
            'user_id' => $event['user_id'],
            'action' => 'joined',
            'created_at' => now()
        ]);
    }
}
