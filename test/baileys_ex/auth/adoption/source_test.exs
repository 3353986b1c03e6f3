defmodule BaileysEx.Auth.Adoption.SourceTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Adoption.Source

  test "modules are found with their places, also those within, and implementations" do
    {:ok, sources, other?} =
      Source.read("""
      # About A.
      defmodule A do
        defmodule B do
          def b, do: 1
        end

        defmodule __MODULE__.C do
        end

        defimpl Inspect do
        end
      end

      defimpl Inspect, for: D.E do
        def inspect(_, _), do: ""
      end

      defprotocol F do
        def f(term)
      end
      """)

    refute other?
    assert [a, implementation, protocol] = sources
    assert {a.module, a.first_line, a.last_line} == {A, 2, 12}
    assert Enum.map(a.inner, & &1.module) == [A.B, A.C, Inspect.A]
    assert hd(a.inner).exports == [{:function, :b, 0}]
    assert implementation.module == Inspect.D.E
    assert protocol.module == F
  end

  test "what a module exports is told with every arity" do
    {:ok, [source], false} =
      Source.read("""
      defmodule A do
        use GenServer
        defstruct [:a, b: 1]

        @callback load(term()) :: term()
        @callback save(a, b) :: term() when a: term(), b: term()
        @doc "documented"
        def f(a, b \\\\ 1, c \\\\ 2) when a > b, do: c
        def bare, do: 1
        defp hidden(a), do: a
        defmacro m(a), do: quote(do: def(unquoted(unquote(a)), do: 1))
        defguard is_a(a) when a
        defdelegate d(a, b), to: B
        if true do
          def conditional(_), do: 1
        end

        for name <- [:x], do: def(unquote(name)(), do: 1)
      end
      """)

    assert source.exports == [
             {:callback, :load, 1},
             {:callback, :save, 2},
             {:field, :a, 0},
             {:field, :b, 0},
             {:function, :bare, 0},
             {:function, :child_spec, 1},
             {:function, :conditional, 1},
             {:function, :d, 2},
             {:function, :f, 1},
             {:function, :f, 2},
             {:function, :f, 3},
             {:macro, :is_a, 1},
             {:macro, :m, 1}
           ]
  end

  test "code beside the modules is noticed" do
    assert {:ok, [_], true} = Source.read("require Logger\ndefmodule A do\nend\n")
    assert {:ok, [], true} = Source.read("IO.puts(1)")
    assert {:error, "line 1: " <> _} = Source.read("defmodule A do")
  end

  test "a module is cut out with the comment above it, and the rest stays to the letter" do
    text = """
    defmodule A do
      # kept
    end

    # About B.
    defmodule B do
      def b, do: ~s(end)
    end

    defmodule C do
    end
    """

    {:ok, [_, b, _], false} = Source.read(text)

    assert Source.cut(text, [b]) ==
             {:ok,
              """
              defmodule A do
                # kept
              end

              defmodule C do
              end
              """}
  end

  test "several are cut out at once, the first and the last too" do
    text = "defmodule A do\nend\n\ndefmodule B do\nend\n\ndefmodule C do\nend\n"
    {:ok, [a, _b, c], false} = Source.read(text)
    assert Source.cut(text, [a, c]) == {:ok, "defmodule B do\nend\n"}
  end

  test "a module that shares its lines with other code is left to a person" do
    for text <- ["defmodule(A, do: nil)", "defmodule A do end; defmodule B do end"] do
      {:ok, [a | _], _other?} = Source.read(text)
      assert {:error, "line 1: " <> _} = Source.cut(text, [a])
    end
  end
end
