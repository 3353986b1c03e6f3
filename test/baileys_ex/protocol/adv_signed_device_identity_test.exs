defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentityTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity

  doctest ADVSignedDeviceIdentity

  @identity %ADVSignedDeviceIdentity{
    details: :binary.copy("d", 300),
    account_signature_key: <<1::256>>,
    account_signature: <<2::512>>,
    device_signature: <<>>
  }

  test "what is encoded is decoded again, empty and missing members told apart" do
    for identity <- [
          @identity,
          %ADVSignedDeviceIdentity{},
          %{@identity | details: nil, device_signature: nil}
        ] do
      encoded = ADVSignedDeviceIdentity.encode(identity)
      assert ADVSignedDeviceIdentity.decode(encoded) == {:ok, identity}
    end
  end

  test "members that are not known are skipped, whatever their type" do
    varint = <<0x28, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01>>
    fixed = <<0x31, 1::64, 0x3D, 2::32>>
    bytes = <<0x42, 3, "abc">>
    group = <<0x4B, 0x0A, 1, "x", 0x53, 0x54, 0x4C>>
    member_as_varint = <<0x08, 7>>
    far = <<0xFA, 0xFF, 0xFF, 0xFF, 0x0F, 0>>
    encoded = ADVSignedDeviceIdentity.encode(@identity)

    for unknown <- [varint, fixed, bytes, group, member_as_varint, far] do
      assert ADVSignedDeviceIdentity.decode(unknown <> encoded <> unknown) == {:ok, @identity}
    end
  end

  test "the last of two members of one number counts" do
    assert {:ok, %{details: "new"}} =
             ADVSignedDeviceIdentity.decode(<<0x0A, 3, "old", 0x0A, 3, "new">>)
  end

  test "hostile bytes are refused" do
    for {bytes, reason} <- [
          {<<0x0A>>, :truncated},
          {<<0x0A, 0xFF>>, :truncated},
          {<<0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, "short">>, :truncated},
          {<<0x09, 1, 2, 3>>, :truncated},
          {<<0x4B, 0x0A, 1, "x">>, :truncated},
          # Number 0, and one above what protobuf allows.
          {<<0x02, 0>>, :invalid_protobuf},
          {<<0x82, 0x80, 0x80, 0x80, 0x10, 0>>, :invalid_protobuf},
          # The end of a group that is not open, or of a different one.
          {<<0x0C>>, :invalid_protobuf},
          {<<0x4B, 0x54>>, :invalid_protobuf},
          # Wire types 6 and 7 do not exist.
          {<<0x0E, 0>>, :invalid_protobuf},
          {<<0x0F, 0>>, :invalid_protobuf},
          {:binary.copy(<<0xFF>>, 11), :invalid_protobuf}
        ] do
      assert ADVSignedDeviceIdentity.decode(bytes) == {:error, reason}, inspect(bytes)
    end

    assert ADVSignedDeviceIdentity.decode(nil) == {:error, :invalid_protobuf}
  end

  test "a million open groups are refused without a deep stack" do
    assert ADVSignedDeviceIdentity.decode(:binary.copy(<<0x0B>>, 1_000_000)) ==
             {:error, :truncated}
  end

  test "every cut of a message is an error or a shorter message, and nothing raises" do
    encoded = ADVSignedDeviceIdentity.encode(@identity)

    for length <- 0..(byte_size(encoded) - 1) do
      case ADVSignedDeviceIdentity.decode(binary_part(encoded, 0, length)) do
        {:ok, identity} -> assert identity != @identity
        {:error, reason} -> assert reason == :truncated
      end
    end
  end

  test "what cannot be encoded is named and not shown" do
    error =
      assert_raise ArgumentError, fn ->
        ADVSignedDeviceIdentity.encode(%{@identity | account_signature: ~c"SECRET"})
      end

    assert error.message == "account_signature must be a binary"
  end
end
