import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A client in a process of its own, to be killed.
 *
 * As a program: Victim ROLE NAME-SERVERS TOPIC GROUP. It prints a line for each message it consumes or sends.
 */
final class Victim {
    /** A message that the victim had, when and from which queue. */
    record Event(long time, int queue, String body) { }

    private static final String MARK = "@@";
    private static final int TRANSACTIONS = 5;

    private final Process process;
    private final List<Event> events = new ArrayList<>();
    private final Thread reader = new Thread(this::read);

    private Victim(Process process) {
        this.process = process;
    }

    static Victim start(Trial trial, String role, String topic, String group) throws IOException {
        String java = new File(System.getProperty("java.home"), "bin/java").getPath();
        Process process = new ProcessBuilder(java, "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            "-Duser.home=" + System.getProperty("user.home") + "-victim", "-cp", System.getProperty("java.class.path"),
            "Victim", role, trial.place.nameServers(), topic, group).redirectErrorStream(true).start();
        Victim victim = new Victim(process);
        trial.onClose(victim::kill);
        victim.reader.setDaemon(true);
        victim.reader.start();
        return victim;
    }

    private void read() {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] words = line.split(" ", 4);
                if (words[0].equals(MARK)) {
                    synchronized (this) {
                        events.add(new Event(Long.parseLong(words[1]), Integer.parseInt(words[2]), words[3]));
                    }
                } else {
                    System.out.println("victim: " + line);
                }
            }
        } catch (IOException e) {
            e.printStackTrace();
        }
    }

    synchronized List<Event> events() {
        return new ArrayList<>(events);
    }

    /** Process.destroyForcibly would close the stream and lose the last lines. */
    void kill() throws InterruptedException {
        process.toHandle().destroyForcibly();
        reader.join();
    }

    public static void main(String[] args) throws Exception {
        Trial trial = new Trial(new Trial.Place(args[1], "", "", ""), "victim-" + ProcessHandle.current().pid(), () -> { });
        if (args[0].equals("transactions")) {
            leaveTransactionsOpen(trial, args[2], args[3]);
        } else {
            consume(trial, args[0].equals("orderly"), args[2], args[3]);
        }
        Thread.sleep(Long.MAX_VALUE);
    }

    private static void consume(Trial trial, boolean isOrderly, String topic, String group) throws Exception {
        DefaultMQPushConsumer consumer = trial.consumer(group);
        consumer.subscribe(topic, "*");
        if (isOrderly) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                messages.forEach(Victim::print);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(Victim::print);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        trial.start(consumer);
    }

    private static void leaveTransactionsOpen(Trial trial, String topic, String group) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        trial.start(producer);
        for (int number = 0; number < TRANSACTIONS; number++) {
            producer.sendMessageInTransaction(new Message(topic, Trial.bytes("open " + number)), null);
            System.out.println(MARK + " 0 0 open " + number);
        }
    }

    private static void print(MessageExt message) {
        System.out.println(MARK + " " + System.currentTimeMillis() + " " + message.getQueueId() + " " + Inbox.text(message));
    }
}
