import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Transactional messages. The profile asks back after 2 s, each second, ten times at most. */
final class Transactions {
    private static final int NO_PERMISSION = 16;
    private static final LocalTransactionState COMMIT = LocalTransactionState.COMMIT_MESSAGE;
    private static final LocalTransactionState ROLLBACK = LocalTransactionState.ROLLBACK_MESSAGE;
    private static final LocalTransactionState UNKNOWN = LocalTransactionState.UNKNOW;

    static void list(Map<String, Features.Feature> features) {
        features.put("transaction-commit", Transactions::commit);
        features.put("transaction-rollback", Transactions::rollback);
        features.put("transaction-mixed", Transactions::mixed);
        features.put("transaction-unknown-then-commit", trial -> unknownThen(trial, COMMIT));
        features.put("transaction-unknown-then-rollback", trial -> unknownThen(trial, ROLLBACK));
        features.put("transaction-asked-twice", Transactions::askedTwice);
        features.put("transaction-too-many-checks", Transactions::tooManyChecks);
        features.put("transaction-immunity", Transactions::immunity);
        features.put("transaction-producer-dies", Transactions::producerDies);
        features.put("transaction-refused", Transactions::refused);
    }

    /** What the local side says; and what it was asked. */
    static final class Ledger implements TransactionListener {
        final Map<String, List<MessageExt>> asked = new ConcurrentHashMap<>();
        private final Function<Message, LocalTransactionState> execute;
        private final Function<MessageExt, LocalTransactionState> check;

        Ledger(Function<Message, LocalTransactionState> execute, Function<MessageExt, LocalTransactionState> check) {
            this.execute = execute;
            this.check = check;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return execute.apply(message);
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            asked.computeIfAbsent(Inbox.text(message), body -> java.util.Collections.synchronizedList(new ArrayList<>())).add(message);
            return check.apply(message);
        }
    }

    static TransactionMQProducer producer(Trial trial, TransactionListener listener) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(trial.own("producer"));
        producer.setTransactionListener(listener);
        return trial.start(producer);
    }

    private static Message rich(String topic, String body) {
        Message message = new Message(topic, "tag", "key-" + body, Trial.bytes(body));
        message.putUserProperty("a", "b");
        return message;
    }

    private static LocalTransactionState neverAsked(MessageExt message) {
        throw new IllegalStateException("asked about " + message);
    }

    private static void commit(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        List<String> problems = new ArrayList<>();
        TransactionMQProducer producer = producer(trial, new Ledger(message -> {
            try {
                if (trial.admin().maxOffset(queue) != Long.parseLong(message.getUserProperty("number"))) {
                    problems.add("visible before its commit: " + message);
                }
            } catch (Exception e) {
                problems.add(e.toString());
            }
            return COMMIT;
        }, Transactions::neverAsked));
        List<String> sent = new ArrayList<>();
        Map<String, TransactionSendResult> results = new TreeMap<>();
        for (int number = 0; number < 10; number++) {
            Message message = rich(queue.getTopic(), "m" + number);
            message.putUserProperty("number", "" + number);
            TransactionSendResult result = producer.sendMessageInTransaction(message, null);
            Trial.accepted(result);
            Check.equal("state", COMMIT, result.getLocalTransactionState());
            Check.equal("transaction id", result.getMsgId(), result.getTransactionId());
            sent.add("m" + number);
            results.put("m" + number, result);
            long expected = number + 1;
            Check.eventually("the commit is done", () -> trial.admin().maxOffset(queue) == expected);
        }
        Check.equal("problems", List.of(), problems);
        for (MessageExt message : Sending.exactly(trial, queue.getTopic(), sent)) {
            String body = Inbox.text(message);
            Check.equal("keys, tags, property", "key-" + body + " tag b", message.getKeys() + " " + message.getTags() + " " + message.getUserProperty("a"));
            Check.equal("transaction id", results.get(body).getTransactionId(), message.getTransactionId());
            Check.equal("unique key", results.get(body).getMsgId(), message.getProperty("UNIQ_KEY"));
            trial.note(body.equals("m0") ? "properties " + new TreeMap<>(message.getProperties()).keySet() : "");
        }
    }

    private static void rollback(Trial trial) throws Exception {
        String topic = trial.topic(1);
        TransactionMQProducer producer = producer(trial,
            new Ledger(message -> new String(message.getBody()).equals("last") ? COMMIT : ROLLBACK, Transactions::neverAsked));
        for (int number = 0; number < 10; number++) {
            Trial.accepted(producer.sendMessageInTransaction(rich(topic, "m" + number), null));
        }
        Trial.accepted(producer.sendMessageInTransaction(rich(topic, "last"), null));
        Sending.exactly(trial, topic, List.of("last"));
    }

    private static void mixed(Trial trial) throws Exception {
        String topic = trial.topic(4);
        Ledger ledger = new Ledger(
            message -> List.of(COMMIT, ROLLBACK, UNKNOWN, UNKNOWN).get(number(message) % 4),
            message -> number(message) % 4 == 2 ? COMMIT : ROLLBACK);
        TransactionMQProducer producer = producer(trial, ledger);
        List<String> committed = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            Trial.accepted(producer.sendMessageInTransaction(rich(topic, "m" + number), null));
            if (number % 2 == 0) {
                committed.add("m" + number);
            }
        }
        Inbox inbox = trial.consume(trial.group(), topic, "tag");
        inbox.await(50);
        Check.eventually("all unknown were asked about", () -> ledger.asked.size() == 50);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", committed, inbox.bodies());
        Check.that("only the unknown were asked about", ledger.asked.keySet().stream().allMatch(body -> Integer.parseInt(body.substring(1)) % 4 >= 2));
    }

    private static int number(Message message) {
        return Integer.parseInt(new String(message.getBody()).substring(1));
    }

    private static void unknownThen(Trial trial, LocalTransactionState decision) throws Exception {
        String topic = trial.topic(2);
        Ledger ledger = new Ledger(message -> new String(message.getBody()).equals("last") ? COMMIT : UNKNOWN, message -> decision);
        TransactionMQProducer producer = producer(trial, ledger);
        List<String> expected = new ArrayList<>();
        for (int number = 0; number < 5; number++) {
            Message message = rich(topic, "m" + number);
            TransactionSendResult result = producer.sendMessageInTransaction(message, null);
            Check.equal("state", UNKNOWN, result.getLocalTransactionState());
            expected.add("m" + number);
        }
        Check.eventually("all are asked about", () -> ledger.asked.size() == 5);
        MessageExt asked = ledger.asked.get("m3").get(0);
        Check.equal("topic that is asked about", topic, asked.getTopic());
        Check.equal("keys, tags, property", "key-m3 tag b", asked.getKeys() + " " + asked.getTags() + " " + asked.getUserProperty("a"));
        Check.equal("transaction id", asked.getProperty("UNIQ_KEY"), asked.getTransactionId());
        Check.equal("times asked", "1", asked.getProperty("TRANSACTION_CHECK_TIMES"));
        if (decision == ROLLBACK) {
            expected.clear();
        }
        Trial.accepted(producer.sendMessageInTransaction(rich(topic, "last"), null));
        expected.add("last");
        Sending.exactly(trial, topic, expected);
    }

    private static void askedTwice(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Ledger ledger = new Ledger(message -> UNKNOWN,
            message -> "2".equals(message.getProperty("TRANSACTION_CHECK_TIMES")) ? COMMIT : UNKNOWN);
        Trial.accepted(producer(trial, ledger).sendMessageInTransaction(rich(topic, "m"), null));
        Sending.exactly(trial, topic, List.of("m"));
        Check.equal("times", List.of("1", "2"),
            ledger.asked.get("m").stream().map(message -> message.getProperty("TRANSACTION_CHECK_TIMES")).toList());
    }

    private static void tooManyChecks(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Ledger ledger = new Ledger(message -> UNKNOWN, message -> UNKNOWN);
        TransactionSendResult sent = producer(trial, ledger).sendMessageInTransaction(rich(topic, "m"), null);
        String given = "TRANS_CHECK_MAX_TIME_TOPIC";
        trial.awaitRoute(given);
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        MessageExt[] found = new MessageExt[1];
        Check.eventually("it is given up", () -> {
            found[0] = find(puller, trial.queue(given, 0), sent.getMsgId());
            return found[0] != null;
        });
        Check.equal("times asked", 10, ledger.asked.get("m").size());
        Check.equal("body and keys", "m key-m", Inbox.text(found[0]) + " " + found[0].getKeys());
        Check.equal("topic it was for", topic, found[0].getProperty("REAL_TOPIC"));
        Check.equal("messages in its topic", 0L, puller.maxOffset(trial.queue(topic, 0)));
    }

    private static MessageExt find(DefaultMQPullConsumer puller, MessageQueue queue, String uniqueKey) throws Exception {
        long offset = 0;
        while (true) {
            PullResult result = puller.pull(queue, "*", offset, 32);
            if (result.getPullStatus() != PullStatus.FOUND) {
                return null;
            }
            for (MessageExt message : result.getMsgFoundList()) {
                if (uniqueKey.equals(message.getProperty("UNIQ_KEY"))) {
                    return message;
                }
            }
            offset = result.getNextBeginOffset();
        }
    }

    private static void immunity(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Map<String, Long> askedAt = new ConcurrentHashMap<>();
        Ledger ledger = new Ledger(message -> UNKNOWN, message -> {
            askedAt.putIfAbsent(Inbox.text(message), System.currentTimeMillis());
            return COMMIT;
        });
        TransactionMQProducer producer = producer(trial, ledger);
        Message immune = rich(topic, "immune");
        immune.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", "5");
        long sent = System.currentTimeMillis();
        Trial.accepted(producer.sendMessageInTransaction(immune, null));
        Trial.accepted(producer.sendMessageInTransaction(rich(topic, "other"), null));
        Check.eventually("both are asked about", () -> askedAt.size() == 2);
        long waited = askedAt.get("immune") - sent;
        Check.that("immune for 5 s, not " + waited, waited >= 5_000);
        Sending.exactly(trial, topic, List.of("immune", "other"));
    }

    private static void producerDies(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Victim victim = Victim.start(trial, "transactions", topic, trial.own("producer"));
        AtomicBoolean isAlone = new AtomicBoolean();
        Ledger ledger = new Ledger(message -> UNKNOWN, message -> isAlone.get() ? COMMIT : UNKNOWN);
        // A producer of 5.x that has never sent is not known to the broker.
        Trial.send(producer(trial, ledger), new Message(trial.topic("other", 1, 6), Trial.bytes("here I am")));
        Check.eventually("five transactions are open", () -> victim.events().size() == 5);
        victim.kill();
        isAlone.set(true);
        List<String> expected = java.util.stream.IntStream.range(0, 5).mapToObj(number -> "open " + number).toList();
        Check.eventually("the survivor is asked", () -> ledger.asked.keySet().containsAll(expected));
        Sending.exactly(trial, topic, expected);
    }

    private static void refused(Trial trial) throws Exception {
        String topic = trial.topic(1);
        TransactionMQProducer producer = producer(trial, new Ledger(message -> COMMIT, Transactions::neverAsked));
        Check.refused("a half message", NO_PERMISSION, () -> {
            try {
                producer.sendMessageInTransaction(rich(topic, "m"), null);
            } catch (MQClientException wrapper) {
                throw (Exception) wrapper.getCause();
            }
        });
        Check.equal("messages", 0L, trial.admin().maxOffset(trial.queue(topic, 0)));
    }

    private Transactions() { }
}
