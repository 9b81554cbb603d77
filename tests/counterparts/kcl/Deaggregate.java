import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * Undoes records with the KCL's de-aggregator, without the ranges of shards.
 *
 * <p>java Deaggregate.java LINES      a line is a record's data in base64
 *
 * <p>Prints a line each: its user records, separated by spaces, as key:hash key:data, each in base64, the hash key as it
 * is or null; or "error" and what was thrown.
 */
public class Deaggregate {
  public static void main(String[] arguments) throws Exception {
    for (String line : Files.readAllLines(Path.of(arguments[0]))) {
      KinesisClientRecord record =
          KinesisClientRecord.builder()
              .data(ByteBuffer.wrap(Base64.getDecoder().decode(line)))
              .partitionKey("a")
              .sequenceNumber("1")
              .build();
      String found;
      try {
        List<KinesisClientRecord> records = new AggregatorUtil().deaggregate(List.of(record));
        found = records.stream().map(Deaggregate::spelled).collect(Collectors.joining(" "));
      } catch (Exception | Error error) {
        found = "error " + error;
      }
      System.out.println("> " + found.replace('\n', ' '));
    }
  }

  private static String spelled(KinesisClientRecord one) {
    byte[] data = new byte[one.data().remaining()];
    one.data().duplicate().get(data);
    Base64.Encoder base64 = Base64.getEncoder();
    String key = base64.encodeToString(one.partitionKey().getBytes(StandardCharsets.UTF_8));
    return key + ":" + one.explicitHashKey() + ":" + base64.encodeToString(data);
  }
}
