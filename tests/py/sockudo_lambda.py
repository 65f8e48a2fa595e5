# Sockudo's webhook guide: the handler for AWS Lambda, as it stands there.
import json
import hmac
import hashlib
import os

def lambda_handler(event, context):
    # Extract webhook data
    body = event.get('body', '')
    signature = event.get('headers', {}).get('X-Pusher-Signature', '')

    # Verify signature
    secret = os.environ['PUSHER_SECRET']
    if not verify_signature(body, signature, secret):
        return {
            'statusCode': 401,
            'body': 'Unauthorized'
        }

    # Process events
    payload = json.loads(body)
    for webhook_event in payload['events']:
        process_event(webhook_event)

    return {
        'statusCode': 200,
        'body': 'OK'
    }

def verify_signature(body, signature, secret):
    expected_signature = hmac.new(
        secret.encode('utf-8'),
        body.encode('utf-8'),
        hashlib.sha256
    ).hexdigest()

    received_signature = signature.replace('sha256=', '')
    return hmac.compare_digest(expected_signature, received_signature)

def process_event(event):
    event_name = event['name']

    if event_name == 'member_added':
        handle_member_added(event)
    elif event_name == 'member_removed':
        handle_member_removed(event)
    elif event_name == 'channel_occupied':
        handle_channel_occupied(event)
    elif event_name == 'channel_vacated':
        handle_channel_vacated(event)

def handle_member_added(event):
    # Update DynamoDB, send SNS notifications, etc.
    print(f"User {event['user_id']} joined {event['channel']}")

def handle_member_removed(event):
    print(f"User {event['user_id']} left {event['channel']}")

def handle_channel_occupied(event):
    print(f"Channel {event['channel']} became active")

def handle_channel_vacated(event):
    print(f"Channel {event['channel']} became empty")
