import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts each line of a file (partition key, tab, payload) by the native KPL, and exits 0 when all are stored.
 *
 * <p>java Feed.java LINES STREAM PORT [rate=RECORDS_PER_SECOND] [hashkeys=SEED] [any property of the KPL=...]
 *
 * <p>Prints a line for each shard it stored to: the shard and the last sequence number there. Credentials are those of
 * the environment, so that but for the name of its package this is a program for the KPL 0.15 too.
 */
public class Feed {
  private static final int OUTSTANDING_MAX = 20_000;
  private static final int SECONDS_MAX = 240;

  public static void main(String[] arguments) throws Exception {
    List<String> lines = Files.readAllLines(Path.of(arguments[0]), StandardCharsets.UTF_8);
    String stream = arguments[1];
    long port = Long.parseLong(arguments[2]);
    double rate = 0;
    Random hashKeys = null;
    Properties properties = new Properties();
    for (int i = 3; i < arguments.length; i++) {
      String[] parts = arguments[i].split("=", 2);
      switch (parts[0]) {
        case "rate" -> rate = Double.parseDouble(parts[1]);
        case "hashkeys" -> hashKeys = new Random(Long.parseLong(parts[1]));
        default -> properties.setProperty(parts[0], parts[1]);
      }
    }
    KinesisProducer producer = new KinesisProducer(configuration(properties, port));
    ConcurrentMax last = new ConcurrentMax();
    AtomicInteger failed = new AtomicInteger();
    AtomicReference<Throwable> why = new AtomicReference<>();
    CountDownLatch answered = new CountDownLatch(lines.size());
    long start = System.nanoTime();
    for (int i = 0; i < lines.size(); i++) {
      if (rate > 0) {
        long early = start + (long) (1e9 * i / rate) - System.nanoTime();
        if (early > 1_000_000) Thread.sleep(early / 1_000_000);
      }
      while (producer.getOutstandingRecordsCount() > OUTSTANDING_MAX) Thread.sleep(1);
      String[] parts = lines.get(i).split("\t", 2);
      String hashKey = hashKeys == null ? null : new BigInteger(128, hashKeys).toString();
      ByteBuffer payload = ByteBuffer.wrap(parts[1].getBytes(StandardCharsets.UTF_8));
      Futures.addCallback(
          producer.addUserRecord(stream, parts[0], hashKey, payload),
          new FutureCallback<UserRecordResult>() {
            public void onSuccess(UserRecordResult result) {
              last.see(result.getShardId(), new BigInteger(result.getSequenceNumber()));
              answered.countDown();
            }

            public void onFailure(Throwable cause) {
              failed.incrementAndGet();
              why.set(cause);
              answered.countDown();
            }
          },
          MoreExecutors.directExecutor());
    }
    producer.flush();
    boolean all = answered.await(SECONDS_MAX, TimeUnit.SECONDS);
    producer.destroy();
    last.print();
    if (!all || failed.get() > 0) {
      System.err.println("answered: " + all + ", failed: " + failed + ", last: " + why);
    }
    System.exit(all && failed.get() == 0 ? 0 : 1);
  }

  private static KinesisProducerConfiguration configuration(Properties properties, long port) {
    String host = "127.0.0.1";
    KinesisProducerConfiguration configuration =
        properties.isEmpty()
            ? new KinesisProducerConfiguration()
            : KinesisProducerConfiguration.fromProperties(properties);
    return configuration
        .setRegion("us-east-1")
        .setKinesisEndpoint(host)
        .setKinesisPort(port)
        .setStsEndpoint(host)
        .setStsPort(port)
        .setCloudwatchEndpoint(host)
        .setCloudwatchPort(port)
        .setVerifyCertificate(false)
        .setMetricsLevel("none")
        .setTempDirectory(System.getProperty("java.io.tmpdir"));
  }

  /** The largest sequence number of each shard. */
  private static final class ConcurrentMax {
    private final ConcurrentHashMap<String, BigInteger> largest = new ConcurrentHashMap<>();

    void see(String shard, BigInteger number) {
      largest.merge(shard, number, BigInteger::max);
    }

    void print() {
      largest.forEach((shard, number) -> System.out.println(shard + " " + number));
    }
  }
}
