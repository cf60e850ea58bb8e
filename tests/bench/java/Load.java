import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * The load of a measurement, with the official client as it comes. Says "@ begin" and "@ end" around what counts, so that whoever
 * measures the server can look at its clocks.
 *
 * <pre>
 * Load produce NAME_SERVER TOPIC THREADS BYTES WARM_SECONDS SECONDS
 * Load consume NAME_SERVER TOPIC GROUP MESSAGES
 * Load steady NAME_SERVER TOPIC THREADS POLL_MILLISECONDS
 * </pre>
 */
public class Load {
    private static final int BUCKET_US = 10;
    private static final int BUCKETS = 500_000;
    private static final int SILENCE_MS = 50;
    private static final int PAUSE_MS = 5;

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("produce")) {
            produce(arguments[1], arguments[2], number(arguments[3]), number(arguments[4]), number(arguments[5]), number(arguments[6]));
        } else if (arguments[0].equals("steady")) {
            steady(arguments[1], arguments[2], number(arguments[3]), number(arguments[4]));
        } else {
            consume(arguments[1], arguments[2], arguments[3], Long.parseLong(arguments[4]));
        }
        System.exit(0);
    }

    private static int number(String text) {
        return Integer.parseInt(text);
    }

    /** Threads that send one message after the other, each when the one before is acknowledged. */
    private static void produce(String nameServer, String topic, int threads, int bytes, int warm, int seconds) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("bench-producer");
        producer.setNamesrvAddr(nameServer);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.start();
        byte[] body = new byte[bytes];
        for (int at = 0; at < bytes; at++) {
            body[at] = (byte) ('a' + at % 26);
        }
        AtomicLong all = new AtomicLong();
        AtomicLong failed = new AtomicLong();
        AtomicInteger phase = new AtomicInteger();
        AtomicLongArray times = new AtomicLongArray(BUCKETS);
        Thread[] senders = new Thread[threads];
        for (int index = 0; index < threads; index++) {
            senders[index] = new Thread(() -> {
                while (phase.get() < 2) {
                    long began = System.nanoTime();
                    boolean counts = phase.get() == 1;
                    try {
                        if (producer.send(new Message(topic, body)).getSendStatus() != SendStatus.SEND_OK) {
                            failed.incrementAndGet();
                            continue;
                        }
                    } catch (Exception error) {
                        failed.incrementAndGet();
                        continue;
                    }
                    all.incrementAndGet();
                    if (counts && phase.get() == 1) {
                        long bucket = (System.nanoTime() - began) / 1000 / BUCKET_US;
                        times.incrementAndGet((int) Math.min(bucket, BUCKETS - 1));
                    }
                }
            });
            senders[index].start();
        }
        Thread.sleep(warm * 1000L);
        long before = all.get();
        long began = System.nanoTime();
        phase.set(1);
        System.out.println("@ begin");
        Thread.sleep(seconds * 1000L);
        phase.set(2);
        long count = all.get() - before;
        double took = (System.nanoTime() - began) / 1e9;
        System.out.printf("@ end count=%d failed=%d per_second=%.0f p50_us=%d p99_us=%d p999_us=%d%n", count, failed.get(), count / took,
            quantile(times, 0.5), quantile(times, 0.99), quantile(times, 0.999));
        for (Thread sender : senders) {
            sender.join();
        }
        producer.shutdown();
        System.out.printf("@ sent %d%n", all.get());
    }

    /** Threads that send now and then, and tell when nothing was acknowledged to any of them for a while. */
    private static void steady(String nameServer, String topic, int threads, int poll) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("bench-producer");
        producer.setNamesrvAddr(nameServer);
        producer.setPollNameServerInterval(poll);
        producer.start();
        AtomicLong last = new AtomicLong();
        for (int index = 0; index < threads; index++) {
            new Thread(() -> {
                while (true) {
                    try {
                        if (producer.send(new Message(topic, new byte[100])).getSendStatus() == SendStatus.SEND_OK) {
                            long now = System.currentTimeMillis();
                            long before = last.getAndSet(now);
                            if (now - before >= SILENCE_MS) {
                                System.out.printf("@ silence %d %d%n", before, now);
                            }
                        }
                        Thread.sleep(PAUSE_MS);
                    } catch (Exception error) {
                        // As an application would: it tries again.
                    }
                }
            }).start();
        }
        System.in.read();
    }

    private static long quantile(AtomicLongArray times, double part) {
        long all = 0;
        for (int bucket = 0; bucket < BUCKETS; bucket++) {
            all += times.get(bucket);
        }
        long left = (long) (all * part);
        for (int bucket = 0; bucket < BUCKETS; bucket++) {
            left -= times.get(bucket);
            if (left < 0) {
                return (long) (bucket + 1) * BUCKET_US;
            }
        }
        return 0;
    }

    /** A group that is new reads a topic from its beginning. */
    private static void consume(String nameServer, String topic, String group, long messages) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        AtomicLong seen = new AtomicLong();
        AtomicLong began = new AtomicLong();
        CountDownLatch all = new CountDownLatch(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (fresh, context) -> {
            if (began.compareAndSet(0, System.nanoTime())) {
                System.out.println("@ begin");
            }
            if (seen.addAndGet(fresh.size()) >= messages) {
                all.countDown();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        all.await();
        double took = (System.nanoTime() - began.get()) / 1e9;
        System.out.printf("@ end count=%d per_second=%.0f%n", seen.get(), seen.get() / took);
        consumer.shutdown();
    }
}
