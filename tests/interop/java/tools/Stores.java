import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Fills a store and says what is in it, through a client.
 *
 * `fill NAME-SERVER TOPIC ROUND KINDS` sends messages of these kinds (of plain, batch, keyed, big, delayed, transactional) and
 * waits until all of them are in their queues; `plain:N` are N of them. `wait NAME-SERVER TOPIC ROUND N` sends N messages that are delayed for
 * half a minute, N with a timer, and N halves of transactions without a decision; `decide NAME-SERVER TOPIC ROUND COUNT` commits such halves when
 * it is asked, until the topic has COUNT messages. `read NAME-SERVER TOPIC` prints a line for each message of the topic: queue,
 * offset, place in the log, bytes there, store time, checksum of the stored body, tags, keys, offset id,
 * CRC-32 of the body, separated by tabs.
 * `find NAME-SERVER TOPIC KEY…` prints for each key how many messages have it.
 * `send NAME-SERVER TOPIC COUNT` sends so many messages, one after the other, and prints the status of each.
 * `ordered NAME-SERVER TOPIC GROUP COUNT` consumes so many messages in the order of their queues, and prints queue and offset of each;
 * `slowly NAME-SERVER TOPIC GROUP COUNT` does so in any order, a few at a time.
 */
public final class Stores {
    private static final int BIG_BYTES = 1 << 20;
    private static final int PULLED_MAX = 32;
    private static final long PATIENCE_MS = 180_000;
    private static final long POLL_MS = 50;
    /** How often routes are looked up. */
    private static final int ROUTES_MS = 1_000;
    /** A busy machine is no failure. */
    private static final int CALL_MS = 30_000;
    /** Longer than it takes to stop a broker. */
    private static final int TIMER_S = 45;

    private Stores() {
    }

    /** A client's threads would keep the program alive after an exception. */
    public static void main(String[] arguments) {
        try {
            run(arguments);
            System.exit(0);
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private static void run(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "fill" -> fill(arguments[1], arguments[2], arguments[3], arguments[4].split(","));
            case "wait" -> await(arguments[1], arguments[2], arguments[3], Integer.parseInt(arguments[4]));
            case "decide" -> decide(arguments[1], arguments[2], arguments[3], Long.parseLong(arguments[4]));
            case "read" -> read(arguments[1], arguments[2]);
            case "find" -> find(arguments[1], arguments[2], Arrays.copyOfRange(arguments, 3, arguments.length));
            case "send" -> send(arguments[1], arguments[2], Integer.parseInt(arguments[3]));
            case "ordered" -> ordered(arguments[1], arguments[2], arguments[3], Integer.parseInt(arguments[4]));
            case "slowly" -> slowly(arguments[1], arguments[2], arguments[3], Integer.parseInt(arguments[4]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** What the client's logging prints has another beginning. */
    private static void say(Object line) {
        System.out.println("> " + line);
    }

    private static void fill(String nameServer, String topic, String round, String[] kinds) throws Exception {
        DefaultMQPullConsumer consumer = consumer(nameServer);
        TransactionMQProducer producer = new TransactionMQProducer("stores-" + round);
        producer.setNamesrvAddr(nameServer);
        producer.setTransactionListener(new HalfCommitted());
        producer.setMqClientApiTimeout(CALL_MS);
        producer.setSendMsgTimeout(CALL_MS);
        producer.start();
        long before = count(consumer, topic);
        long sent = 0;
        for (String kind : kinds) {
            sent += send(producer, topic, round, kind);
        }
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (count(consumer, topic) < before + sent) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException(count(consumer, topic) - before + " of " + sent + " messages came");
            }
            Thread.sleep(POLL_MS);
        }
        producer.shutdown();
        say(sent);
    }

    /** How many of them will be in the topic. */
    private static int send(TransactionMQProducer producer, String topic, String round, String kinds) throws Exception {
        String kind = kinds.split(":")[0];
        int count = kind.equals(kinds) ? switch (kind) {
            case "plain" -> 200;
            case "batch" -> 20;
            case "big" -> 8;
            default -> 50;
        } : Integer.parseInt(kinds.split(":")[1]);
        for (int number = 0; number < count; number++) {
            String name = round + "-" + kinds + "-" + number;
            Message message = new Message(topic, name.getBytes(StandardCharsets.UTF_8));
            switch (kind) {
                case "keyed" -> {
                    message.setTags("tag" + number % 3);
                    message.setKeys(List.of(name, round + "-all"));
                }
                case "big" -> message.setBody(big(message.getBody(), number));
                case "delayed" -> message.setDelayTimeLevel(1);
                default -> { }
            }
            switch (kind) {
                case "batch" -> producer.send(batch(topic, name));
                case "transactional" -> producer.sendMessageInTransaction(message, number);
                default -> producer.send(message);
            }
        }
        return kind.equals("batch") ? count * 50 : kind.equals("transactional") ? count / 2 : count;
    }

    /** The client compresses it: every second one in vain. */
    private static byte[] big(byte[] beginning, int number) {
        byte[] body = Arrays.copyOf(beginning, BIG_BYTES);
        if (number % 2 == 0) {
            byte[] noise = new byte[BIG_BYTES - beginning.length];
            new Random(number).nextBytes(noise);
            System.arraycopy(noise, 0, body, beginning.length, noise.length);
        }
        return body;
    }

    private static List<Message> batch(String topic, String name) {
        List<Message> batch = new ArrayList<>();
        for (int number = 0; number < 50; number++) {
            batch.add(new Message(topic, "batched", (name + "-" + number).getBytes(StandardCharsets.UTF_8)));
        }
        return batch;
    }

    private static TransactionMQProducer undecided(String nameServer, String round, LocalTransactionState later) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("stores-" + round);
        producer.setNamesrvAddr(nameServer);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object number) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return later;
            }
        });
        producer.setMqClientApiTimeout(CALL_MS);
        producer.setSendMsgTimeout(CALL_MS);
        producer.start();
        return producer;
    }

    private static void await(String nameServer, String topic, String round, int count) throws Exception {
        TransactionMQProducer producer = undecided(nameServer, round, LocalTransactionState.UNKNOW);
        for (int number = 0; number < count; number++) {
            producer.sendMessageInTransaction(
                new Message(topic, (round + "-half-" + number).getBytes(StandardCharsets.UTF_8)), number);
        }
        for (int number = 0; number < count; number++) {
            Message message = new Message(topic, (round + "-delayed-" + number).getBytes(StandardCharsets.UTF_8));
            message.setDelayTimeLevel(4);
            producer.send(message);
        }
        for (int number = 0; number < count; number++) {
            Message message = new Message(topic, (round + "-timer-" + number).getBytes(StandardCharsets.UTF_8));
            message.setDelayTimeSec(TIMER_S);
            producer.send(message);
        }
        producer.shutdown();
    }

    private static void decide(String nameServer, String topic, String round, long wanted) throws Exception {
        DefaultMQPullConsumer consumer = consumer(nameServer);
        TransactionMQProducer producer = undecided(nameServer, round, LocalTransactionState.COMMIT_MESSAGE);
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (count(consumer, topic) < wanted) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException(count(consumer, topic) + " messages have come of " + wanted);
            }
            // A broker asks whoever it has heard of, and this producer sends nothing by which it would find the broker.
            producer.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(topic);
            producer.getDefaultMQProducerImpl().getMqClientFactory().sendHeartbeatToAllBrokerWithLock();
            Thread.sleep(POLL_MS);
        }
        producer.shutdown();
    }

    /** Every second transaction is committed, the others are rolled back. */
    private static final class HalfCommitted implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object number) {
            return (Integer) number % 2 == 0 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return LocalTransactionState.UNKNOW;
        }
    }

    private static DefaultMQPullConsumer consumer(String nameServer) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("stores-reader");
        consumer.setNamesrvAddr(nameServer);
        consumer.setMqClientApiTimeout(CALL_MS);
        consumer.setConsumerPullTimeoutMillis(CALL_MS);
        consumer.start();
        return consumer;
    }

    private static long count(DefaultMQPullConsumer consumer, String topic) throws Exception {
        long count = 0;
        for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
            count += consumer.maxOffset(queue) - consumer.minOffset(queue);
        }
        return count;
    }

    private static void read(String nameServer, String topic) throws Exception {
        DefaultMQPullConsumer consumer = consumer(nameServer);
        for (MessageQueue queue : new TreeSet<>(consumer.fetchSubscribeMessageQueues(topic))) {
            long end = consumer.maxOffset(queue);
            for (long at = consumer.minOffset(queue); at < end;) {
                PullResult pulled = consumer.pull(queue, "*", at, PULLED_MAX);
                if (pulled.getPullStatus() != PullStatus.FOUND) {
                    throw new IllegalStateException(queue + " at " + at + ": " + pulled);
                }
                pulled.getMsgFoundList().forEach(message -> say(line(message)));
                at = pulled.getNextBeginOffset();
            }
        }
        consumer.shutdown();
    }

    private static String line(MessageExt message) {
        CRC32 crc = new CRC32();
        crc.update(message.getBody());
        return String.join("\t", Integer.toString(message.getQueueId()), Long.toString(message.getQueueOffset()),
            Long.toString(message.getCommitLogOffset()), Integer.toString(message.getStoreSize()),
            Long.toString(message.getStoreTimestamp()), Integer.toString(message.getBodyCRC()), text(message.getTags()),
            text(message.getKeys()), offsetId(message), Long.toString(crc.getValue()));
    }

    private static String offsetId(MessageExt message) {
        return message instanceof org.apache.rocketmq.common.message.MessageClientExt client
            ? client.getOffsetMsgId() : message.getMsgId();
    }

    private static String text(String value) {
        return value == null ? "" : value;
    }

    private static void ordered(String nameServer, String topic, String group, int count) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        CountDownLatch left = new CountDownLatch(count);
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(message -> {
                say(message.getQueueId() + "\t" + message.getQueueOffset());
                left.countDown();
            });
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        if (!left.await(PATIENCE_MS, TimeUnit.MILLISECONDS)) {
            throw new IllegalStateException(left.getCount() + " messages did not come");
        }
        consumer.shutdown();
    }

    private static void slowly(String nameServer, String topic, String group, int count) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setPollNameServerInterval(ROUTES_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPullBatchSize(2);
        consumer.setPullThresholdForQueue(4);
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(1);
        consumer.subscribe(topic, "*");
        Set<String> seen = ConcurrentHashMap.newKeySet();
        CountDownLatch left = new CountDownLatch(count);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                String place = message.getQueueId() + "\t" + message.getQueueOffset();
                if (seen.add(place)) {
                    say(place);
                    left.countDown();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        if (!left.await(PATIENCE_MS, TimeUnit.MILLISECONDS)) {
            throw new IllegalStateException(left.getCount() + " messages did not come");
        }
        consumer.shutdown();
    }

    private static void send(String nameServer, String topic, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("stores-sender");
        producer.setNamesrvAddr(nameServer);
        producer.setSendMsgTimeout(CALL_MS);
        // What its slaves have not is a success with another name, and no reason to send it once more.
        producer.setRetryAnotherBrokerWhenNotStoreOK(false);
        producer.start();
        for (int number = 0; number < count; number++) {
            say(producer.send(new Message(topic, "sent".getBytes(StandardCharsets.UTF_8))).getSendStatus());
        }
        producer.shutdown();
    }

    private static void find(String nameServer, String topic, String[] keys) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("stores-finder");
        producer.setNamesrvAddr(nameServer);
        producer.setMqClientApiTimeout(CALL_MS);
        producer.start();
        for (String key : keys) {
            say(producer.queryMessage(topic, key, 1000, 0, Long.MAX_VALUE).getMessageList().size());
        }
        producer.shutdown();
    }
}
