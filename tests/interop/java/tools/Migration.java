import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * An application that goes on while its broker is exchanged for another one, and knows what must have become of every message.
 *
 * `Migration NAME-SERVER TOPIC BODY-BYTES HELD` reads commands from its stdin, one a line, and answers each with a line that begins
 * with "> ":
 *
 * `fill COUNT` sends so many messages of all kinds; `live` goes on sending at a leisurely pace, and `quiet` ends that.
 * `hold` sends HELD messages each that are delayed, timed, undecided and refused, and waits until they are; `moved` says that
 * another broker takes over now, and `release` lets all of them come to their end and waits for that.
 * `rest` is a consumer that goes on from the offsets it once committed, and commits what it got; it answers with these offsets.
 * `verify` compares what the broker has with what was acknowledged, once the consumer has all of it.
 *
 * A message says in its body what it is: round, kind and number. Whoever sends it tries again until it is told SEND_OK.
 */
public final class Migration {
    private static final int FILLING_THREADS = 8;
    private static final int LIVE_THREADS = 4;
    private static final long LIVE_PAUSE_MS = 60;
    /** Sent one after the other, of one kind. */
    private static final int BLOCK = 8;
    private static final int CALL_MS = 5_000;
    private static final long RETRY_MS = 100;
    private static final long PATIENCE_MS = 240_000;
    private static final long POLL_MS = 50;
    private static final int HELD_LEVEL = 18;
    /** Of that level, and of timers. */
    private static final long HELD_MS = 30_000;
    /** A broker's tick. */
    private static final long EARLY_MS = 1_000;
    private static final int RECONSUMED_MAX = 10_000;
    private static final int KEYS_TRIED = 200;
    private static final String HELD = "held";

    private final int bodyBytes;
    private final int heldCount;
    private final String topic;
    private final MigrationLedger ledger = new MigrationLedger();
    private final MigrationReader reader;
    private final TransactionMQProducer producer;
    private final AtomicInteger rounds = new AtomicInteger();
    private final AtomicBoolean isLive = new AtomicBoolean();
    private final List<Thread> live = new ArrayList<>();
    private final AtomicReference<Exception> failure = new AtomicReference<>();
    private final AtomicBoolean isHeld = new AtomicBoolean();
    private final Set<String> refused = ConcurrentHashMap.newKeySet();
    private final Map<String, MessageExt> consumedOfHeld = new ConcurrentHashMap<>();
    private volatile String heldRound;
    private volatile long movedAt;

    private Migration(String nameServer, String topic, int bodyBytes, int heldCount) throws Exception {
        this.topic = topic;
        this.bodyBytes = bodyBytes;
        this.heldCount = heldCount;
        producer = new TransactionMQProducer(topic + "-producers");
        patient(producer);
        producer.setNamesrvAddr(nameServer);
        producer.setSendMsgTimeout(CALL_MS);
        producer.setTransactionListener(new ByNumber());
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(topic + "-live");
        patient(consumer);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMaxReconsumeTimes(RECONSUMED_MAX);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> consume(messages));
        consumer.start();
        reader = new MigrationReader(nameServer, topic);
    }

    /** It finds another broker soon. */
    static void patient(ClientConfig client) {
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(1_000);
    }

    public static void main(String[] arguments) {
        try {
            Migration migration = new Migration(
                arguments[0], arguments[1], Integer.parseInt(arguments[2]), Integer.parseInt(arguments[3]));
            BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                System.out.println("> " + migration.obey(line.split(" ")));
            }
            System.exit(0);
        } catch (Exception e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private String obey(String[] words) throws Exception {
        return switch (words[0]) {
            case "fill" -> fill(Integer.parseInt(words[1]));
            case "live" -> goLive();
            case "quiet" -> goQuiet();
            case "hold" -> hold();
            case "moved" -> moved();
            case "release" -> release();
            case "rest" -> reader.rest();
            case "verify" -> verify();
            default -> throw new IllegalArgumentException(words[0]);
        };
    }

    private String fill(int count) throws Exception {
        String round = "fill" + rounds.incrementAndGet();
        AtomicInteger next = new AtomicInteger();
        List<Thread> threads = new ArrayList<>();
        for (int thread = 0; thread < FILLING_THREADS; thread++) {
            threads.add(inThread(() -> {
                for (int first = next.getAndAdd(BLOCK); first < count; first = next.getAndAdd(BLOCK)) {
                    sendBlock(round, first, Math.min(BLOCK, count - first));
                }
                return null;
            }));
        }
        join(threads);
        return ledger.count() + " acknowledged";
    }

    private String goLive() {
        isLive.set(true);
        String round = "live" + rounds.incrementAndGet();
        AtomicInteger next = new AtomicInteger();
        for (int thread = 0; thread < LIVE_THREADS; thread++) {
            live.add(inThread(() -> {
                while (isLive.get()) {
                    sendBlock(round, next.getAndAdd(BLOCK), BLOCK);
                    Thread.sleep(LIVE_PAUSE_MS);
                }
                return null;
            }));
        }
        return "live";
    }

    private String goQuiet() throws Exception {
        isLive.set(false);
        join(live);
        return ledger.count() + " acknowledged";
    }

    private Thread inThread(Callable<Void> work) {
        Thread thread = new Thread(() -> {
            try {
                work.call();
            } catch (Exception e) {
                failure.compareAndSet(null, e);
            }
        });
        thread.start();
        return thread;
    }

    private void join(List<Thread> threads) throws Exception {
        for (Thread thread : threads) {
            thread.join();
        }
        threads.clear();
        if (failure.get() != null) {
            throw failure.get();
        }
    }

    /** Of 16 blocks six are plain and six are batches. */
    private void sendBlock(String round, int first, int count) throws Exception {
        int turn = first / BLOCK % 16;
        String kind = turn < 6 ? "plain" : turn < 12 ? "batch" : turn < 14 ? "keyed" : turn < 15 ? "delayed" : "transactional";
        if (kind.equals("batch")) {
            sendBatch(round, first, count);
            return;
        }
        for (int number = first; number < first + count; number++) {
            send(round, kind, number);
        }
    }

    private void sendBatch(String round, int first, int count) throws Exception {
        List<String> names = new ArrayList<>();
        for (int number = first; number < first + count; number++) {
            names.add(String.join("-", round, "batch", Integer.toString(number)));
        }
        names.forEach(ledger::sends);
        SendResult sent = untilAcknowledged(names.get(0), () -> producer.send(names.stream().map(this::message).toList()));
        for (int at = 0; at < count; at++) {
            ledger.isAcknowledged(names.get(at), sent.getMessageQueue().getQueueId(), sent.getQueueOffset() + at);
        }
    }

    private void send(String round, String kind, int number) throws Exception {
        String name = String.join("-", round, kind, Integer.toString(number));
        ledger.sends(name);
        SendResult sent = untilAcknowledged(name, () -> {
            Message message = message(name);
            switch (kind) {
                case "keyed" -> {
                    message.setTags("tag" + number % 3);
                    message.setKeys(name);
                }
                case "delayed" -> message.setDelayTimeLevel(1);
                case HELD + "delayed" -> message.setDelayTimeLevel(HELD_LEVEL);
                case HELD + "timed" -> message.setDelayTimeMs(HELD_MS);
                default -> { }
            }
            return kind.endsWith("transactional") ? producer.sendMessageInTransaction(message, name) : producer.send(message);
        });
        switch (kind) {
            case "plain", HELD + "refused" ->
                ledger.isAcknowledged(name, sent.getMessageQueue().getQueueId(), sent.getQueueOffset());
            case "keyed" -> {
                ledger.isAcknowledged(name, sent.getMessageQueue().getQueueId(), sent.getQueueOffset());
                ledger.hasKey(name);
            }
            default -> ledger.isAcknowledged(name);
        }
        if (kind.endsWith("transactional") && !isCommitted(name)) {
            ledger.isRolledBack(name);
        }
    }

    private Message message(String name) {
        return new Message(topic, MigrationReader.body(name, bodyBytes));
    }

    private static SendResult untilAcknowledged(String name, Callable<SendResult> send) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        Exception last = null;
        while (System.currentTimeMillis() < deadline) {
            try {
                SendResult sent = send.call();
                if (sent.getSendStatus() == SendStatus.SEND_OK) {
                    return sent;
                }
                last = new IllegalStateException(sent.toString());
            } catch (Exception e) {
                last = e;
            }
            Thread.sleep(RETRY_MS);
        }
        throw new IllegalStateException(name + " was not acknowledged", last);
    }

    /** Sends what the broker that is still there must not bring to its end. */
    private String hold() throws Exception {
        heldRound = "move" + rounds.incrementAndGet();
        consumedOfHeld.clear();
        refused.clear();
        isHeld.set(true);
        List<Thread> threads = new ArrayList<>();
        // Delays begin to count last.
        for (String kind : List.of("transactional", "refused")) {
            threads.add(inThread(() -> sendHeld(kind)));
        }
        join(threads);
        until("all that are refused have been", () -> refused.size() == heldCount);
        for (String kind : List.of("delayed", "timed")) {
            threads.add(inThread(() -> sendHeld(kind)));
        }
        join(threads);
        return heldRound;
    }

    private Void sendHeld(String kind) throws Exception {
        for (int number = 0; number < heldCount; number++) {
            send(heldRound, HELD + kind, number);
        }
        return null;
    }

    private String moved() {
        movedAt = System.currentTimeMillis();
        return "moved";
    }

    private String release() throws Exception {
        isHeld.set(false);
        List<String> names = new ArrayList<>();
        for (String kind : List.of("delayed", "timed", "refused", "transactional")) {
            for (int number = 0; number < heldCount; number++) {
                String name = String.join("-", heldRound, HELD + kind, Integer.toString(number));
                if (!kind.equals("transactional") || isCommitted(name)) {
                    names.add(name);
                }
            }
        }
        until("what was held back comes", () -> failure.get() != null || names.stream().allMatch(consumedOfHeld::containsKey),
            () -> names.stream().filter(name -> !consumedOfHeld.containsKey(name)).toList());
        if (failure.get() != null) {
            throw failure.get();
        }
        String waited = "";
        // What could not be sent back to a broker that ends, a consumer keeps to itself: of the refused ones nothing can be said.
        for (String kind : List.of("delayed", "timed", "transactional")) {
            Predicate<String> isOfKind = name -> name.contains("-" + HELD + kind + "-");
            long count = names.stream().filter(isOfKind)
                .filter(name -> consumedOfHeld.get(name).getStoreTimestamp() >= movedAt).count();
            if (count == 0) {
                throw new IllegalStateException("none of the " + kind + " ones waited for the next broker");
            }
            waited += " " + kind + "=" + count;
        }
        return "waited:" + waited;
    }

    private void until(String what, BooleanSupplier condition) throws Exception {
        until(what, condition, List::of);
    }

    private static void until(String what, BooleanSupplier condition, Supplier<List<String>> missing)
            throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.getAsBoolean()) {
            if (System.currentTimeMillis() > deadline) {
                List<String> names = missing.get();
                throw new IllegalStateException("not in time: " + what + "; " + names.size() + " are missing, such as "
                    + names.subList(0, Math.min(5, names.size())));
            }
            Thread.sleep(POLL_MS);
        }
    }

    private ConsumeConcurrentlyStatus consume(List<MessageExt> messages) {
        for (MessageExt message : messages) {
            String name = MigrationReader.name(message);
            boolean isOfHeld = heldRound != null && name.startsWith(heldRound + "-");
            if (isHeld.get() && isOfHeld && name.contains(HELD + "refused")) {
                refused.add(name);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            long wait = name.contains(HELD + "delayed") || name.contains(HELD + "timed") ? HELD_MS : 0;
            if (message.getStoreTimestamp() + EARLY_MS < message.getBornTimestamp() + wait) {
                failure.compareAndSet(null, new IllegalStateException("too early: " + message));
            }
            if (isOfHeld) {
                consumedOfHeld.put(name, message);
            }
            ledger.isConsumed(name);
        }
        return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    }

    private String verify() throws Exception {
        // What was lost never comes, nor does what lies where the consumer had another message.
        long deadline = System.currentTimeMillis() + HELD_MS;
        while (System.currentTimeMillis() < deadline && !ledger.isAllConsumed()) {
            Thread.sleep(POLL_MS);
        }
        Map<String, List<MigrationLedger.Place>> found = reader.all(bodyBytes);
        List<String> keys = ledger.someKeys(found, KEYS_TRIED);
        return ledger.judge(found) + "\tunfindable=" + (keys.size() - reader.findable(producer, keys));
    }

    private static boolean isCommitted(String name) {
        return Integer.parseInt(name.substring(name.lastIndexOf('-') + 1)) % 2 == 0;
    }

    /** Every second transaction is committed; of what is held back nothing is decided. */
    private final class ByNumber implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object name) {
            return decide((String) name);
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return decide(MigrationReader.name(message));
        }

        private LocalTransactionState decide(String name) {
            if (isHeld.get() && name.startsWith(heldRound + "-")) {
                return LocalTransactionState.UNKNOW;
            }
            return isCommitted(name) ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }
    }
}
