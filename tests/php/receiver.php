<?php
// Runs the Laravel handler of Sockudo's guide without Laravel: this file has the few names of Laravel that the
// handler uses, and the functions that the guide leaves to its readers. Each line of standard input is a request,
// {"headers", "body"}; each line of output an answer, {"status", "inserted"}: the rows that the handler inserted.

class Controller
{
}

class Request
{
    public function __construct(private array $headers, private string $body)
    {
    }

    public function header(string $name): string
    {
        return $this->headers[$name] ?? '';
    }

    public function getContent(): string
    {
        return $this->body;
    }

    public function json(): ArrayObject
    {
        return new class (json_decode($this->body, true, 512, JSON_THROW_ON_ERROR)) extends ArrayObject {
            public function all(): array
            {
                return $this->getArrayCopy();
            }
        };
    }
}

class DB
{
    public static array $inserted = [];

    public static function table(string $name): self
    {
        return new self();
    }

    public function insert(array $row): void
    {
        self::$inserted[] = $row;
    }
}

function response(string $body, int $status): int
{
    return $status;
}

function config(string $name): string
{
    return getenv('PUSHER_SECRET');
}

function now(): string
{
    return 'now';
}

require __DIR__ . '/WebhookController.php';

class Handler extends WebhookController
{
    public function handleMemberRemoved(array $event): void
    {
    }

    public function handleChannelOccupied(array $event): void
    {
    }

    public function handleChannelVacated(array $event): void
    {
    }
}

while (($line = fgets(STDIN)) !== false) {
    $given = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    DB::$inserted = [];
    $status = (new Handler())->handle(new Request($given['headers'], $given['body']));
    fwrite(STDOUT, json_encode(['status' => $status, 'inserted' => DB::$inserted]) . "\n");
}
