import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The broker is stopped (names in "-restart") or killed ("-crash") in the middle of a feature.
 *
 * What a broker notes down only now and then, a killed one may have forgotten; then messages may come twice, none is lost.
 */
final class Restarts {
    static void list(Map<String, Features.Feature> features) {
        both(features, "messages", Restarts::messages);
        both(features, "topics", Restarts::topics);
        both(features, "offsets", Restarts::offsets);
        both(features, "running-clients", Restarts::runningClients);
        both(features, "orderly", Restarts::orderly);
        both(features, "delay", Restarts::delay);
        both(features, "retry", Restarts::retry);
        both(features, "open-transactions", Restarts::openTransactions);
        both(features, "decided-transactions", Restarts::decidedTransactions);
    }

    static void both(Map<String, Features.Feature> features, String name, Features.Feature feature) {
        features.put(name + "-restart", feature);
        features.put(name + "-crash", feature);
    }

    private static boolean isCrash(Trial trial) {
        return trial.name.endsWith("-crash");
    }

    /** Exactly these after a restart; after a crash some may have come twice. */
    static void checkConsumed(Trial trial, List<String> expected, Inbox inbox) {
        if (isCrash(trial)) {
            Check.equal("different messages", new HashSet<>(expected), new HashSet<>(inbox.bodies()));
            trial.note(inbox.size() - expected.size() + " repeated");
        } else {
            Check.sameElements("messages", expected, inbox.bodies());
        }
    }

    /** Clients notice within their own time that the broker is back. */
    static void sendPatiently(DefaultMQProducer producer, Message message) throws Exception {
        Check.eventually("sent", () -> producer.send(message) != null);
    }

    private static void messages(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        List<SendResult> results = new ArrayList<>();
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            results.add(Trial.send(producer, new Message(topic, "tag", "key-" + number, Trial.bytes("m" + number))));
            sent.add("m" + number);
        }
        trial.restartBroker();
        SendResult some = results.get(33);
        Check.eventually("by offset id", () -> Inbox.text(trial.admin().viewMessage(topic, some.getOffsetMsgId())).equals("m33"));
        Check.eventually("by unique key", () -> Inbox.text(trial.admin().viewMessage(topic, some.getMsgId())).equals("m33"));
        Check.eventually("by key", () -> trial.admin().queryMessage(topic, "key-77", 32, 0, Long.MAX_VALUE).getMessageList().size() == 1);
        sendPatiently(producer, new Message(topic, Trial.bytes("after")));
        sent.add("after");
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await(101);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", sent, inbox.bodies());
    }

    private static void topics(Trial trial) throws Exception {
        List<String> topics = new ArrayList<>();
        for (int queues = 1; queues <= 5; queues++) {
            topics.add(trial.topic("queues" + queues, queues, queues == 3 ? 4 : 6));
        }
        String automatic = trial.own("automatic");
        Trial.send(trial.producer(), new Message(automatic, Trial.bytes("m")));
        trial.restartBroker();
        for (int queues = 1; queues <= 5; queues++) {
            String topic = topics.get(queues - 1);
            trial.awaitRoute(topic);
            var data = trial.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0);
            Check.equal("queues and permissions", queues + " " + queues + " " + (queues == 3 ? 4 : 6),
                data.getReadQueueNums() + " " + data.getWriteQueueNums() + " " + data.getPerm());
        }
        trial.awaitRoute(automatic);
    }

    private static void offsets(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, topic, "early ", 30);
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        Inbox before = new Inbox();
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(before));
        trial.start(consumer);
        before.await(30);
        trial.awaitAllConsumed(trial.group(), topic);
        consumer.shutdown();
        List<String> late = Trial.sendNumbered(producer, topic, "late ", 10);
        trial.restartBroker();
        Inbox after = trial.consume(trial.group(), topic, "*");
        after.await("late 9");
        trial.awaitAllConsumed(trial.group(), topic);
        if (isCrash(trial)) {
            Check.that("all that were not consumed before", after.bodies().containsAll(late));
            trial.note(after.size() - 10 + " repeated");
        } else {
            Check.sameElements("what was not consumed before", late, after.bodies());
        }
    }

    private static void runningClients(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        List<String> sent = new ArrayList<>(Trial.sendNumbered(producer, topic, "before ", 50));
        inbox.await(10);
        trial.restartBroker();
        for (int number = 0; number < 50; number++) {
            sendPatiently(producer, new Message(topic, Trial.bytes("after " + number)));
            sent.add("after " + number);
        }
        inbox.await("all", all -> new HashSet<>(all.stream().map(Inbox::text).toList()).size() >= 100);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("different messages", new HashSet<>(sent), new HashSet<>(inbox.bodies()));
        trial.note(inbox.size() - 100 + " repeated");
    }

    private static void orderly(Trial trial) throws Exception {
        var queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(queue.getTopic(), "*");
        consumer.registerMessageListener(Trial.orderlyInto(inbox));
        trial.start(consumer);
        Trial.sendNumbered(producer, queue, "", 50);
        inbox.await(10);
        trial.restartBroker();
        for (int number = 50; number < 80; number++) {
            Message message = new Message(queue.getTopic(), Trial.bytes("" + number));
            Check.eventually("sent", () -> producer.send(message, queue) != null);
        }
        inbox.await("79");
        int newest = -1;
        for (String body : inbox.bodies()) {
            int number = Integer.parseInt(body);
            Check.that(number + " comes after " + newest + ", none is skipped", number <= newest + 1);
            newest = Math.max(newest, number);
        }
        trial.note(inbox.size() - 80 + " repeated");
    }

    private static void delay(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = new ArrayList<>();
        for (int level = 1; level <= 3; level++) {
            for (int number = 0; number < 10; number++) {
                Message message = new Message(topic, Trial.bytes("level " + level + " number " + number));
                message.setDelayTimeLevel(level);
                Trial.send(producer, message);
                sent.add("level " + level + " number " + number);
            }
        }
        trial.restartBroker();
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("all", all -> new HashSet<>(all.stream().map(Inbox::text).toList()).size() >= 30);
        Message last = new Message(topic, Trial.bytes("last"));
        last.setDelayTimeLevel(3);
        sendPatiently(producer, last);
        sent.add("last");
        inbox.await("last");
        trial.awaitAllConsumed(trial.group(), topic);
        checkConsumed(trial, sent, inbox);
    }

    private static void retry(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Trial.sendNumbered(trial.producer(), topic, "m", 5);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.addAll(messages);
            return messages.get(0).getReconsumeTimes() < 2 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        trial.start(consumer);
        inbox.await(5);
        trial.restartBroker();
        inbox.await("each twice again", all -> all.stream().filter(message -> message.getReconsumeTimes() == 2)
            .map(Inbox::text).distinct().count() == 5);
        for (MessageExt message : inbox.all()) {
            Check.equal("topic", topic, message.getTopic());
            Check.that("times of " + Inbox.text(message), message.getReconsumeTimes() <= 2);
        }
        trial.note(inbox.size() - 15 + " repeated");
    }

    private static void openTransactions(Trial trial) throws Exception {
        String topic = trial.topic(1);
        boolean[] isBack = new boolean[1];
        Transactions.Ledger ledger = new Transactions.Ledger(message -> LocalTransactionState.UNKNOW, message -> {
            synchronized (isBack) {
                if (!isBack[0]) {
                    return LocalTransactionState.UNKNOW;
                }
            }
            boolean isEven = Integer.parseInt(Inbox.text(message).substring(1)) % 2 == 0;
            return isEven ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        });
        TransactionMQProducer producer = Transactions.producer(trial, ledger);
        for (int number = 0; number < 10; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            // Else it may be given up before the restart.
            message.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", "2");
            Trial.accepted(producer.sendMessageInTransaction(message, null));
        }
        trial.restartBroker();
        synchronized (isBack) {
            isBack[0] = true;
        }
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("all that are committed", all -> all.stream().map(Inbox::text).distinct().count() >= 5);
        Check.eventually("all are asked about", () -> ledger.asked.size() == 10);
        trial.awaitAllConsumed(trial.group(), topic);
        checkConsumed(trial, IntStream.of(0, 2, 4, 6, 8).mapToObj(number -> "m" + number).toList(), inbox);
    }

    private static void decidedTransactions(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Transactions.Ledger ledger = new Transactions.Ledger(
            message -> new String(message.getBody()).startsWith("good") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE,
            message -> Inbox.text(message).startsWith("good") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE);
        TransactionMQProducer producer = Transactions.producer(trial, ledger);
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 20; number++) {
            Trial.accepted(producer.sendMessageInTransaction(new Message(topic, Trial.bytes((number % 2 == 0 ? "good " : "bad ") + number)), null));
            if (number % 2 == 0) {
                sent.add("good " + number);
            }
        }
        Check.eventually("all commits are done", () -> trial.admin().maxOffset(trial.queue(topic, 0)) >= 10);
        trial.restartBroker();
        Check.eventually("sent", () -> producer.sendMessageInTransaction(new Message(topic, Trial.bytes("good last")), null) != null);
        sent.add("good last");
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await("good last");
        trial.awaitAllConsumed(trial.group(), topic);
        checkConsumed(trial, sent, inbox);
    }

    private Restarts() { }
}
