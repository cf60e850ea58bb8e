import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingConnectException;
import org.apache.rocketmq.remoting.exception.RemotingTimeoutException;

/**
 * The official client as the hands of the fault harness: a call a line, an answer a line, in the order in which they come.
 *
 * <p>The harness chooses what is sent, writes the history and judges it. Nothing is sent twice here: a doubt must stay one.
 * Started with: name server, topic, broker name, milliseconds that a call may take.
 */
public final class Driver {
    private final String nameServer;
    private final String topic;
    private final String broker;
    private final int callMillis;
    private final DefaultMQProducer producer = new DefaultMQProducer("jepsen-producers");
    private final Map<String, DefaultMQPullConsumer> consumers = new ConcurrentHashMap<>();
    private final PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);

    private Driver(String[] words) {
        nameServer = words[0];
        topic = words[1];
        broker = words[2];
        callMillis = Integer.parseInt(words[3]);
    }

    public static void main(String[] words) throws Exception {
        Driver driver = new Driver(words);
        driver.start();
        driver.serve();
        System.exit(0);
    }

    private void start() throws MQClientException {
        producer.setNamesrvAddr(nameServer);
        producer.setPollNameServerInterval(1000);
        producer.setRetryTimesWhenSendFailed(0);
        producer.setSendMsgTimeout(callMillis);
        producer.setVipChannelEnabled(false);
        // What is read is compared with what was sent.
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.start();
        System.out.println("ready");
    }

    private void serve() throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            threads.execute(() -> answer(words[0], carryOut(words)));
        }
    }

    private synchronized void answer(String call, String answer) {
        out.println(call + " " + answer);
        out.flush();
    }

    private String carryOut(String[] words) {
        try {
            MessageQueue queue = new MessageQueue(topic, broker, Integer.parseInt(words[2]));
            return switch (words[1]) {
                case "send" -> send(queue, words);
                case "pull" -> pull(queue, Long.parseLong(words[3]));
                case "commit" -> commit(queue, words[3], Long.parseLong(words[4]));
                case "fetch" -> fetch(queue, words[3]);
                default -> "unclear no such call";
            };
        } catch (MQBrokerException refused) {
            return "refused " + refused.getResponseCode() + " " + inOneLine(refused.getErrorMessage());
        } catch (RemotingTimeoutException late) {
            return "late";
        } catch (RemotingConnectException refused) {
            return "unconnected";
        } catch (Exception unclear) {
            return "unclear " + inOneLine(unclear.toString());
        }
    }

    /** The words from the third on are pairs: a key and the body that goes with it, in hexadecimal digits. */
    private String send(MessageQueue queue, String[] words) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int at = 3; at + 1 < words.length; at += 2) {
            Message message = new Message(topic, HexFormat.of().parseHex(words[at + 1]));
            message.setKeys(words[at]);
            message.setWaitStoreMsgOK(true);
            messages.add(message);
        }
        SendResult result = messages.size() == 1
            ? producer.send(messages.get(0), queue, callMillis)
            : producer.send(messages, queue, callMillis);
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            return "unclear " + result.getSendStatus();
        }
        return "ok " + result.getQueueOffset() + " " + result.getOffsetMsgId().split(",")[0];
    }

    private String pull(MessageQueue queue, long offset) throws Exception {
        PullResult result = consumer("jepsen-readers").pull(queue, "*", offset, 256, callMillis);
        StringBuilder answer = new StringBuilder("ok " + result.getNextBeginOffset() + " " + result.getMaxOffset());
        if (result.getMsgFoundList() != null) {
            for (MessageExt message : result.getMsgFoundList()) {
                byte[] body = message.getBody() == null ? new byte[0] : message.getBody();
                answer.append(' ').append(message.getQueueOffset()).append(' ').append(message.getKeys());
                answer.append(' ').append(HexFormat.of().formatHex(body)).append('.');
            }
        }
        return answer.toString();
    }

    private String commit(MessageQueue queue, String group, long offset) throws Exception {
        consumer(group).getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, offset, false);
        return "ok";
    }

    /** -1: the broker knows of none. -2: it did not say. */
    private String fetch(MessageQueue queue, String group) throws Exception {
        long offset = consumer(group).fetchConsumeOffset(queue, true);
        return offset < -1 ? "unclear the broker did not say" : "ok " + offset;
    }

    private DefaultMQPullConsumer consumer(String group) throws MQClientException {
        synchronized (consumers) {
            DefaultMQPullConsumer known = consumers.get(group);
            if (known != null) {
                return known;
            }
            DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
            consumer.setNamesrvAddr(nameServer);
            consumer.setPollNameServerInterval(1000);
            consumer.setVipChannelEnabled(false);
            consumer.start();
            consumers.put(group, consumer);
            return consumer;
        }
    }

    private static String inOneLine(String text) {
        return String.valueOf(text).replace('\n', ' ');
    }
}
