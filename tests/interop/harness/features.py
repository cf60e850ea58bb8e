"""The features of a broker, each proven by the clients that have it: a row is a feature, a client in it is a trial.

What a client does for a feature is in its driver under the feature's name: java/features (java5 is in java/features5 alone),
go/features, python/features.py, raw frames are in harness/raw_broker.py, commands in admin_prints.py. The profile is the broker that it needs.
"""

from typing import NamedTuple


class Feature(NamedTuple):
    name: str
    profile: str  # of profiles.py
    clients: tuple
    what: str


def _features(profile, text):
    """Rows `name  client,client  what it shows`."""
    for line in text.strip().splitlines():
        name, clients, what = line.split(None, 2)
        yield Feature(name, profile, tuple(clients.split(",")), what)


PLAIN = """
send-sync                        java,java4,go,python   all is consumed from the queue and offset of its reply, with keys and tag
send-reply-fields                java,java4             queue, offset, both ids, region, trace switch
send-async                       java,java4,go,python   all callbacks come, all is consumed
send-oneway                      java,java4,go,python   all is consumed
send-properties                  java,java4,go,python   user's properties, keys, flag, and what the broker adds
send-properties-over-limit       java                   32,000 bytes of properties are stored, 33,000 refused
send-compressed                  java,java4,go,python   a long body is stored small and comes back whole
send-compressed-zlib             java                   the same, named by the sender
send-compressed-lz4              java                   the same
send-compressed-zstd             java                   the same
send-at-limit                    java,java4             4 MiB come back as they were
send-over-limit                  java,java4             more than 4 MiB are refused, by client and by broker
send-chosen-queue                java,java4,go,python   a selector keeps what belongs together in one queue, in order
send-no-such-queue               java,java4             a queue that the topic does not have is refused
send-vip-channel                 java,java4             the port two below serves too
send-same-group                  java,java4             two producers of one group; one leaves
batch-10000                      java,java4,go           ten batches of a thousand, all consumed
batch-reply-fields               java,java4             ids and offsets of each message in a batch
batch-over-limit                 java                   5 MiB in one batch are refused
topic-auto-created               java,java4,go,python   with the queues asked for, and no more than the template's
topic-write-forbidden            java                   no route to write; after the permission is given there is
topic-read-forbidden             java,java4             pulls are refused; after the permission is given they are not
pull-queue                       java,java4,go,python          found and no new message; next, smallest and largest offset
pull-at-most                     java,java4             as many as asked for, and no more than 32
pull-large-messages              java                   replies are limited in bytes
pull-offset-out-of-range         java,java4,go          past the end: the client is told where the end is
pull-waits-for-arrival           java,java4             a held pull is answered when a message comes
pull-by-tag                      java,java4             matching, and where to go on when nothing matches
pull-refused                     java                   no such queue, no such topic
pull-sql-refused                 java,java4             without enablePropertyFilter
queue-offsets                    java,java4             smallest, largest, time of the first
offset-by-time                   java,java4             before all, between, after all
offset-commit-and-fetch          java,java4             one commits, another of the group reads
lite-pull-subscribe              java,java4             polled and committed
lite-pull-two-share              java                   two members share the queues
lite-pull-assign                 java,java4             only the queues one has assigned
lite-pull-seek                   java,java4             to an offset, the beginning, the end
lite-pull-seek-by-time           java,java4             to a time
lite-pull-commit                 java,java4             the next one goes on from there
filter-tag-one                   java,java4,go,python   one tag
filter-tag-several               java,java4,go,python   several tags
filter-tag-all                   java                   all tags, and none
filter-tag-same-hash             java,go,python         two tags of one hash are told apart
filter-changed                   java,go                a group comes back with another expression
group-shares-queues              java,java4,go,python          two members, two queues each
group-broadcast-three            java,java4,go,python   each of three members gets all
group-several-topics             java,java4,go          one group, five topics
group-two-groups                 java,go,python         each group gets all
group-batches                    java,go                up to 16 messages at once
group-orderly                    java,java4,go,python   four queues, each in its order
group-suspend-resume             java,go                nothing is lost meanwhile
group-not-online                 java                   what the broker tells of a group, and of one that has gone
group-namespace                  java,java4,go          topics and groups in a namespace
rebalance-join-and-leave         java,java4,go          all is consumed while a member comes and leaves
rebalance-join-and-die           java,java4,go          all is consumed while a member comes and is killed
rebalance-orderly-join-and-die   java,java4             order is kept, nothing skipped, though the dead holds its locks for a minute
consume-from-first               java,java4,go   all that is there
consume-from-last-young-topic    java,java4,go,python          all that is there, where nothing has left memory yet
offset-after-consumer-restart    java,java4,go,python   each life goes on where the last ended
offset-reset-online              java,java4             running consumers go back to a time
offset-reset-offline             java,java4             a group that is away begins at a time
offset-skip-accumulated          java                   a group that is away begins at the end
offset-clone                     java                   one group goes on where another is
query-by-offset-id               java,java4             content and place
query-by-unique-key              java,java4             content and place
query-by-key                     java,java4             several keys a message, several messages a key
query-by-key-and-time            java,java4             before, between, after
query-at-most                    java                   the newest
query-finds-nothing              java                   another key, another topic, past the end of the log
request-reply                    java,java4,go          a reply with the request's correlation id
request-reply-async              java,java4,go          ten replies to ten callbacks
request-reply-many               java                   two requesters, each gets its own replies
request-chosen-queue             java                   by queue and by selector
request-timeout                  java,java4,go          the request is there, no reply comes
priority-chooses-queue           java                   the queue of its number, or the last; no priority is none
priority-consumed-in-order       java                   who reads the queues from the last on gets what is urgent first
priority-in-batch                java                   a batch stays together
timer-recall-refused             java                   without recallMessageEnable
reply-to-nobody                  java                   a reply to who has gone is refused
refusals                         raw                    requests that no client sends
"""

SHORT = """
filter-sql-greater               java,go     n > 30
filter-sql-at-most               java,go     n <= 30
filter-sql-equal                 java,go     a string
filter-sql-not-equal             java,go     <>
filter-sql-between               java,go     between
filter-sql-not-between           java        not between
filter-sql-in                    java,go     in
filter-sql-not-in                java        not in
filter-sql-is-null               java,go     is null
filter-sql-is-not-null           java        is not null
filter-sql-or-with-null          java        true or NULL is true
filter-sql-not-with-null         java        not NULL is NULL
filter-sql-decimal               java        decimals
filter-sql-boolean               java        TRUE
filter-sql-tags                  java        the tag as a property
filter-sql-precedence            java        and before or
filter-sql-parentheses           java        parentheses
filter-sql-contains              java        contains
filter-sql-not-contains          java        not contains
filter-sql-starts-ends           java        startswith, endswith
filter-sql-quote                 java        a quote in a string
filter-sql-unknown-property      java        a property nobody has
filter-sql-negative              java        a negative number
filter-sql-illegal               java        seven expressions that are none
filter-sql-bombs                 raw         expressions of a mebibyte, checked, stated and brought along
filter-arrives-while-waiting     java        held pulls wake for what matches
lite-pull-sql                    java        SQL with the lite pull consumer
retry-until-success              java,java4,go,python  each attempt counts, nothing else changes
retry-after-exception            java        a consumer that throws
retry-chosen-level               java,java4,go  the consumer chooses the delay
retry-rest-of-batch              java        half of a batch
retry-to-dead-letter             java,java4,go  after maxReconsumeTimes; content of the dead letter
retry-dead-letter-at-once        java,java4  level -1
retry-dead-letter-consumed       java        dead letters can be consumed
retry-sent-back-by-hand          java        a pull consumer sends back for a group
retry-orderly                    java,java4,go  the queue waits for its message
retry-orderly-to-dead-letter     java,java4  the queue goes on without it
delay-levels                     java,java4,go,python  each level waits for its time; what is left in the properties
delay-level-above-highest        java,java4  the highest level
delay-keeps-order                java,java4,go  in one queue
transaction-commit               java,java4,go  invisible before, whole after
transaction-rollback             java,java4,go  never visible
transaction-mixed                java,java4,go  a hundred with all outcomes
transaction-unknown-then-commit    java,java4,go  asked back, then visible
transaction-unknown-then-rollback  java,java4,go  asked back, never visible
transaction-asked-twice          java        undecided at the first time
transaction-too-many-checks      java        given up to TRANS_CHECK_MAX_TIME_TOPIC
transaction-immunity             java,java4  not asked before its time
transaction-producer-dies        java,java4  another producer of the group is asked
timer-deliver-at                 java        a point in time
timer-delay-ms                   java        milliseconds
timer-delay-sec                  java        seconds
timer-in-the-past                java        at once
timer-too-far                    java        refused
timer-not-a-number               java        refused, by each of the three properties
timer-in-order-of-time           java        however they were sent
timer-many                       java        500, each once
timer-and-level                  java        the level wins
timer-recall                     java        the recalled do not come, the others do
timer-recall-bad-handle          java        delivered before, or of another topic
priority-lost                    java        by what waits, is ordered, or is in a transaction
trace-of-producer                java,java4  what the trace tells of a send
trace-own-topic                  java        in a topic of one's own
trace-of-consumer                java,java4  what the trace tells of consuming
admin-topic-life-cycle           java        made, changed, deleted, made again
admin-topic-attributes           java        set and removed
admin-topic-illegal              java        names, and the system's own
admin-group-life-cycle           java        made, read, deleted
admin-group-disabled             java        consumeEnable
admin-broker-config              java        read, changed, refused
admin-runtime-info               java        all keys that tools read
admin-consumer-running-info      java        as the client tells it
admin-consume-directly           java        one message once more
admin-consume-lag                java        how far a group is behind
admin-topic-stats                java        each queue
admin-who-consumes               java        groups of a topic, topics of a group
admin-time-span                  java        first, last, consumed up to
admin-broker-stats               java        messages of a topic in the last minute
admin-message-track              java        consumed, not online
admin-lists                      java        topics, groups, producers, cluster
admin-consume-queue              java        its entries
admin-set-offset                 java        of a group, offline and online
admin-consumer-status            java        offsets as clients have them
"""

STRICT = """
send-over-configured-limit       java        maxMessageSize
topic-auto-create-refused        java,go     no such topic
group-auto-create-refused        java,java4  no such group
transaction-refused              java,java4  rejectTransactionMessage
"""

OLD = """
consume-from-last                java        only what comes after
consume-from-timestamp           java        only what is younger
expired-messages                 java        who is behind is sent to the oldest that is left
pull-at-most-from-disk           java        no more than 8
"""

ADMIN = """
mqadmin-broker                   mqadmin     prints of the commands that runbooks use
"""

OWN_ADMIN = """
mqadmin-own                      own         our mqadmin prints what Apache's prints
"""

AROUND = """
messages                         java,java4,go,python  found by id and key, all consumed
topics                           java        queues and permissions
offsets                          java,java4,go,python  a group goes on where it was
running-clients                  java,java4,go,python  clients that stay lose nothing
orderly                          java,java4,go  order is kept, nothing skipped
delay                            java,java4,go,python  delayed messages come
retry                            java,go     retries come
open-transactions                java,java4,go  are asked back
decided-transactions             java        stay decided
timers                           java        come, none twice after a restart
timer-forty-days                 java        taken, no minute more; still there, and can be recalled
"""


def _around(end):
    return "\n".join(line.replace(" ", f"-{end} ", 1) for line in AROUND.strip().splitlines())


FEATURES = [
    *_features("plain", PLAIN),
    *_features("short", SHORT),
    *_features("strict", STRICT),
    *_features("old", OLD),
    *_features("admin", ADMIN),
    *_features("admin-own", OWN_ADMIN),
    *_features("restart", _around("restart")),
    *_features("crash", _around("crash")),
]
