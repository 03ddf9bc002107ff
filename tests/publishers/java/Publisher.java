import conversion.v1.ConversionAttribution;
import conversion.v1.ConversionClickIds;
import conversion.v1.ConversionEvent;
import conversion.v1.ConversionItem;
import conversion.v1.ConversionUser;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Builds one event with the generated classes and prints it, single-object encoded, as hex. */
public class Publisher {
  public static void main(String[] arguments) throws Exception {
    Instant when = Instant.ofEpochMilli(1795000000123L);
    ConversionEvent event =
        ConversionEvent.newBuilder()
            .setEventName("Purchase")
            .setEventTime(when)
            .setEventId("order_1")
            .setActionSource("website")
            .setValue(42.5)
            .setCurrency("USD")
            .setNumItems(2L)
            .setOptOut(false)
            .setItems(
                List.of(
                    ConversionItem.newBuilder()
                        .setId("sku_1")
                        .setName("Blue shirt")
                        .setQuantity(2L)
                        .setPrice(21.25)
                        .build()))
            .setCustomData(Map.of("plan", "gold"))
            .setCustomNumbers(Map.of("seats", 5.0))
            .setAttribution(ConversionAttribution.newBuilder().setVisitTime(when).build())
            .setUser(
                ConversionUser.newBuilder()
                    .setEmail("customer@example.com")
                    .setPhones(List.of("+14155551234"))
                    .setClickIds(
                        ConversionClickIds.newBuilder()
                            .setFbclid("AbC")
                            .setFbclidTime(when)
                            .build())
                    .build())
            .build();
    byte[] encoded = new byte[event.toByteBuffer().remaining()];
    event.toByteBuffer().get(encoded);
    System.out.println(HexFormat.of().formatHex(encoded));
  }
}
