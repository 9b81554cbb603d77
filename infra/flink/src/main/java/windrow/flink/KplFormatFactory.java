package windrow.flink;

import java.io.IOException;
import java.util.Base64;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.util.Collector;

/**
 * The format {@code kpl}: a record of the stream, whose payloads are JSON, one row each.
 *
 * <p>Its options are {@code kpl.base64}, for records that a file has one a line, and those of the format json with
 * {@code kpl.} before them, such as {@code kpl.ignore-parse-errors}.
 */
public final class KplFormatFactory implements DeserializationFormatFactory {
    static final String NAME = "kpl";
    static final ConfigOption<Boolean> BASE64 = ConfigOptions.key("base64").booleanType().defaultValue(false);

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        DecodingFormat<DeserializationSchema<RowData>> json = json(context).createDecodingFormat(context, options);
        boolean isBase64 = options.get(BASE64);
        return new DecodingFormat<>() {
            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(
                    DynamicTableSource.Context runtime, DataType type) {
                return new Decoder(json.createRuntimeDecoder(runtime, type), isBase64);
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return json.getChangelogMode();
            }
        };
    }

    private static DeserializationFormatFactory json(DynamicTableFactory.Context context) {
        return FactoryUtil.discoverFactory(context.getClassLoader(), DeserializationFormatFactory.class, "json");
    }

    @Override
    public String factoryIdentifier() {
        return NAME;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of();
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(BASE64, IGNORE_PARSE_ERRORS);
    }

    /** The option of the format json that a stream with payloads of others' needs. */
    static final ConfigOption<Boolean> IGNORE_PARSE_ERRORS =
            ConfigOptions.key("ignore-parse-errors").booleanType().defaultValue(false);

    /** Takes a record apart and hands each payload to the decoder of JSON. */
    private static final class Decoder implements DeserializationSchema<RowData> {
        private static final long serialVersionUID = 1L;

        private final DeserializationSchema<RowData> json;
        private final boolean isBase64;

        Decoder(DeserializationSchema<RowData> json, boolean isBase64) {
            this.json = json;
            this.isBase64 = isBase64;
        }

        @Override
        public void open(InitializationContext context) throws Exception {
            json.open(context);
        }

        @Override
        public void deserialize(byte[] message, Collector<RowData> rows) throws IOException {
            for (byte[] payload : KplPayloads.of(isBase64 ? Base64.getDecoder().decode(message) : message)) {
                json.deserialize(payload, rows);
            }
        }

        @Override
        public RowData deserialize(byte[] message) {
            throw new UnsupportedOperationException("a record can have many rows");
        }

        @Override
        public boolean isEndOfStream(RowData next) {
            return false;
        }

        @Override
        public TypeInformation<RowData> getProducedType() {
            return json.getProducedType();
        }
    }
}
